package io.invadapter.engine.picture;

import java.awt.Graphics2D;
import java.awt.geom.AffineTransform;
import java.awt.image.BufferedImage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * How a camera was held, as Exif says it. Java ignores it, and a face that lies on its side is no face to the model.
 *
 * @param value 1 to 8; 1 is upright, 6 is a telephone held upright
 */
record Orientation(int value) {
    static final Orientation UPRIGHT = new Orientation(1);
    /** Of Exif and TIFF. */
    static final int TAG = 0x0112;

    private static final int ENTRY_BYTES = 12;

    /** Upright where the value is none that Exif has. */
    static Orientation of(int value) {
        return value >= 1 && value <= 8 ? new Orientation(value) : UPRIGHT;
    }

    /** Exif is a TIFF header and a list of entries: tag, type, count, value. Upright where nothing, or nothing sensible, is said. */
    static Orientation ofExif(ByteBuffer tiff) {
        try {
            tiff.order(tiff.get(0) == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
            int list = tiff.getInt(4);
            int entries = tiff.getShort(list) & 0xFFFF;
            for (int i = 0; i < entries; i++) {
                int entry = list + 2 + i * ENTRY_BYTES;
                if ((tiff.getShort(entry) & 0xFFFF) == TAG) {
                    return of(tiff.getShort(entry + 8));
                }
            }
        } catch (RuntimeException e) {
            // Damaged notes about a picture are no reason to refuse it.
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
