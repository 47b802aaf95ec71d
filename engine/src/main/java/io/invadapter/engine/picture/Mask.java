package io.invadapter.engine.picture;

import io.invadapter.engine.Latents;
import java.awt.image.BufferedImage;

/** Which pixels of a picture are repainted: each wholly or not at all. */
public final class Mask {
    private static final int HALF = 128;

    private final int width;
    private final int height;
    private final boolean[] repainted;

    /** @param grey opaque, of the size of the picture it is for: what is at least half as bright as white is repainted */
    public Mask(BufferedImage grey) {
        width = grey.getWidth();
        height = grey.getHeight();
        repainted = new boolean[width * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int rgb = grey.getRGB(x, y);
                // Of colours the luma of ITU-R BT.601, in whole numbers: a grey stays what it is.
                int luma = (19595 * (rgb >> 16 & 255) + 38470 * (rgb >> 8 & 255) + 7471 * (rgb & 255) + 0x8000) >> 16;
                repainted[y * width + x] = luma >= HALF;
            }
        }
    }

    /** {@code [height, width]}: 1 where the picture is repainted, else 0. */
    public float[] values() {
        float[] values = new float[repainted.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = repainted[i] ? 1 : 0;
        }
        return values;
    }

    /** The same of latents, {@code [1, 1, height, width]}: those of the pixel at the top left of each latent's cell. */
    public Latents ofLatents(int factor) {
        int wide = width / factor;
        int high = height / factor;
        float[] values = new float[wide * high];
        for (int i = 0; i < values.length; i++) {
            values[i] = repainted[i / wide * factor * width + i % wide * factor] ? 1 : 0;
        }
        return new Latents(values, 1, 1, high, wide);
    }

    /** A picture, {@code [3, height, width]} in [-1, 1], with grey (0) in place of what is repainted. */
    public float[] hide(float[] picture) {
        float[] hidden = picture.clone();
        for (int i = 0; i < hidden.length; i++) {
            if (repainted[i % repainted.length]) {
                hidden[i] = 0;
            }
        }
        return hidden;
    }

    /** What was painted; where nothing was to be repainted, the pixels of the original, each as it is. */
    public BufferedImage keep(BufferedImage original, BufferedImage painted) {
        BufferedImage result = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                result.setRGB(x, y, (repainted[y * width + x] ? painted : original).getRGB(x, y));
            }
        }
        return result;
    }
}
