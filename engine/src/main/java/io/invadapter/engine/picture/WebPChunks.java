package io.invadapter.engine.picture;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import javax.imageio.stream.ImageInputStream;

/** What a WebP file says beside its picture, which readers and writers for ImageIO pass over. */
final class WebPChunks {
    static final WebPChunks NONE = new WebPChunks(Map.of(), false);

    private static final Set<String> WANTED = Set.of("ICCP", "EXIF");
    /** Profiles and Exif are small; this keeps a lying length from filling the memory. */
    private static final int MAX_BYTES = 1 << 24;
    private static final String EXIF_START = "Exif\0\0";
    private static final int RIFF_HEADER = 12;
    private static final int CHUNK_HEADER = 8;
    private static final int EXTENDED_BYTES = 10;
    private static final int EXIF_FLAG = 0x08;
    private static final int ALPHA_FLAG = 0x10;

    private final Map<String, byte[]> chunks;
    private final boolean animated;

    private WebPChunks(Map<String, byte[]> chunks, boolean animated) {
        this.chunks = chunks;
        this.animated = animated;
    }

    /** Whether a stream begins as a WebP does; it is at its beginning afterwards. */
    static boolean begin(ImageInputStream in) throws IOException {
        byte[] start = new byte[RIFF_HEADER];
        in.seek(0);
        int length = in.read(start);
        in.seek(0);
        return length == RIFF_HEADER && name(start, 0).equals("RIFF") && name(start, CHUNK_HEADER).equals("WEBP");
    }

    private static String name(byte[] bytes, int at) {
        return new String(bytes, at, 4, StandardCharsets.ISO_8859_1);
    }

    /** From the stream's beginning; {@link #NONE} when it is no WebP. What is damaged is left to the reader of the picture. */
    static WebPChunks read(ImageInputStream in) throws IOException {
        if (!begin(in)) {
            return NONE;
        }
        Map<String, byte[]> chunks = new HashMap<>();
        boolean animated = false;
        ByteOrder order = in.getByteOrder();
        in.setByteOrder(ByteOrder.LITTLE_ENDIAN);
        try {
            in.seek(RIFF_HEADER);
            while (true) {
                byte[] name = new byte[4];
                in.readFully(name);
                String type = name(name, 0);
                long length = in.readUnsignedInt();
                long next = in.getStreamPosition() + length + length % 2;
                animated |= type.equals("ANIM") || type.equals("ANMF");
                if (WANTED.contains(type) && length <= MAX_BYTES) {
                    byte[] content = new byte[(int) length];
                    in.readFully(content);
                    chunks.putIfAbsent(type, content);
                }
                in.seek(next);
            }
        } catch (IOException e) {
            // The end.
        } finally {
            in.setByteOrder(order);
        }
        return new WebPChunks(chunks, animated);
    }

    boolean isAnimated() {
        return animated;
    }

    boolean hasProfile() {
        return chunks.containsKey("ICCP");
    }

    byte[] profile() {
        return chunks.get("ICCP");
    }

    Orientation orientation() {
        byte[] exif = chunks.get("EXIF");
        if (exif == null) {
            return Orientation.UPRIGHT;
        }
        // Some programs write what stands before it in a JPEG too.
        boolean started = new String(exif, StandardCharsets.ISO_8859_1).startsWith(EXIF_START);
        return Orientation.ofExif(ByteBuffer.wrap(exif).position(started ? EXIF_START.length() : 0).slice());
    }

    /**
     * A WebP with a chunk of Exif at its end. A file that is a picture and nothing else becomes an extended one, which begins with a
     * chunk that says what follows and how large the picture is.
     */
    static byte[] withExif(byte[] webp, BufferedImage picture, byte[] exif) {
        boolean extended = name(webp, RIFF_HEADER).equals("VP8X");
        int added = (extended ? 0 : CHUNK_HEADER + EXTENDED_BYTES) + CHUNK_HEADER + exif.length + exif.length % 2;
        ByteBuffer file = ByteBuffer.allocate(webp.length + added).order(ByteOrder.LITTLE_ENDIAN);
        file.put(webp, 0, 4).putInt(webp.length + added - CHUNK_HEADER).put(webp, CHUNK_HEADER, 4);
        if (!extended) {
            int flags = picture.getColorModel().hasAlpha() ? ALPHA_FLAG : 0;
            int width = picture.getWidth() - 1;
            int height = picture.getHeight() - 1;
            file.put("VP8X".getBytes(StandardCharsets.US_ASCII)).putInt(EXTENDED_BYTES).putInt(flags)
                    .putShort((short) width).put((byte) (width >> 16)).putShort((short) height).put((byte) (height >> 16));
        }
        file.put(webp, RIFF_HEADER, webp.length - RIFF_HEADER);
        file.put("EXIF".getBytes(StandardCharsets.US_ASCII)).putInt(exif.length).put(exif);
        int flags = RIFF_HEADER + CHUNK_HEADER;
        return file.put(flags, (byte) (file.get(flags) | EXIF_FLAG)).array();
    }
}
