package io.invadapter.engine;

import java.awt.Graphics2D;
import java.awt.geom.AffineTransform;
import java.awt.image.BufferedImage;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * How a camera was held, as Exif says it. Java ignores it, and a face that lies on its side is no face to the model.
 *
 * @param value 1 to 8; 1 is upright, 6 is a telephone held upright
 */
record Orientation(int value) {
    private static final Orientation UPRIGHT = new Orientation(1);
    private static final String EXIF = "Exif\0\0";
    private static final int START_OF_IMAGE = 0xFFD8;
    private static final int START_OF_SCAN = 0xFFDA;
    private static final int APP1 = 0xFFE1;
    private static final long PNG = 0x89504E470D0A1A0AL;
    private static final int PNG_EXIF = 0x65584966;
    private static final int PNG_DATA = 0x49444154;
    private static final int TAG = 0x0112;
    private static final int ENTRY_BYTES = 12;
    /** Exif is small; this keeps a lying length from filling the memory. */
    private static final int MAX_BYTES = 1 << 20;

    /** Of a JPEG or PNG file; upright where nothing, or nothing sensible, is said. */
    static Orientation of(Path file) {
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
            in.mark(Long.BYTES);
            boolean png = in.readLong() == PNG;
            if (!png) {
                in.reset();
            }
            byte[] exif = png ? pngExif(in) : jpegExif(in);
            return exif == null ? UPRIGHT : parse(ByteBuffer.wrap(exif));
        } catch (IOException | RuntimeException e) {
            // Damaged notes about a picture are no reason to refuse it.
            return UPRIGHT;
        }
    }

    /** Segments: marker, length, content; Exif is one of them, before the picture's own data. */
    private static byte[] jpegExif(DataInputStream in) throws IOException {
        if (in.readUnsignedShort() != START_OF_IMAGE) {
            return null;
        }
        for (int marker = in.readUnsignedShort(); marker != START_OF_SCAN; marker = in.readUnsignedShort()) {
            byte[] content = in.readNBytes(in.readUnsignedShort() - 2);
            String start = new String(content, 0, Math.min(EXIF.length(), content.length), StandardCharsets.ISO_8859_1);
            if (marker == APP1 && start.equals(EXIF)) {
                return Arrays.copyOfRange(content, EXIF.length(), content.length);
            }
        }
        return null;
    }

    /** Chunks: length, name, content, checksum. */
    private static byte[] pngExif(DataInputStream in) throws IOException {
        while (true) {
            int length = in.readInt();
            int name = in.readInt();
            if (name == PNG_DATA || length < 0) {
                return null;
            }
            if (name == PNG_EXIF) {
                return in.readNBytes(Math.min(length, MAX_BYTES));
            }
            in.skipNBytes(length + 4L);
        }
    }

    /** Exif is a TIFF header and a list of entries: tag, type, count, value. */
    private static Orientation parse(ByteBuffer tiff) {
        tiff.order(tiff.get(0) == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        int list = tiff.getInt(4);
        int entries = tiff.getShort(list) & 0xFFFF;
        for (int i = 0; i < entries; i++) {
            int entry = list + 2 + i * ENTRY_BYTES;
            if ((tiff.getShort(entry) & 0xFFFF) == TAG) {
                int value = tiff.getShort(entry + 8);
                return value >= 1 && value <= 8 ? new Orientation(value) : UPRIGHT;
            }
        }
        return UPRIGHT;
    }

    /** The picture as it was meant to be seen. */
    BufferedImage upright(BufferedImage picture) {
        if (value == 1) {
            return picture;
        }
        int w = picture.getWidth();
        int h = picture.getHeight();
        AffineTransform transform = switch (value) {
            case 2 -> new AffineTransform(-1, 0, 0, 1, w, 0);
            case 3 -> new AffineTransform(-1, 0, 0, -1, w, h);
            case 4 -> new AffineTransform(1, 0, 0, -1, 0, h);
            case 5 -> new AffineTransform(0, 1, 1, 0, 0, 0);
            case 6 -> new AffineTransform(0, 1, -1, 0, h, 0);
            case 7 -> new AffineTransform(0, -1, -1, 0, h, w);
            default -> new AffineTransform(0, -1, 1, 0, 0, w);
        };
        boolean sideways = value >= 5;
        BufferedImage turned = new BufferedImage(sideways ? h : w, sideways ? w : h,
                picture.getColorModel().hasAlpha() ? BufferedImage.TYPE_INT_ARGB : BufferedImage.TYPE_INT_RGB);
        Graphics2D g = turned.createGraphics();
        g.drawImage(picture, transform, null);
        g.dispose();
        return turned;
    }
}
