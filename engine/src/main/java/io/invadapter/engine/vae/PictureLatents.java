package io.invadapter.engine.vae;

import io.invadapter.engine.Latents;
import io.invadapter.weights.WeightException;
import java.awt.image.BufferedImage;

/** Pictures in and out of the model: the step between pixels and [-1, 1], and the VAE's between those and latents of the UNet's scale. */
public final class PictureLatents {

    private PictureLatents() {
    }

    /** A picture as latents of the model's scale; the VAE's mean, for the same picture gives the same latents. */
    public static Latents encode(BufferedImage picture, Vae vae) {
        return encode(toModel(picture), picture.getHeight(), picture.getWidth(), vae);
    }

    /** As {@link #encode(BufferedImage, Vae)}, of what {@link #toModel} made of one. */
    public static Latents encode(float[] picture, int height, int width, Vae vae) {
        return vae.encode(picture, height, width).mean().times(vae.scalingFactor());
    }

    /** Of a picture that is nothing but grey, 0 of -1 to 1, {@code [1, C, height, width]}. */
    public static Latents empty(int height, int width, Vae vae) {
        int pixelsHigh = height * vae.factor();
        int pixelsWide = width * vae.factor();
        return encode(new float[3 * pixelsHigh * pixelsWide], pixelsHigh, pixelsWide, vae);
    }

    /** The way back, of one row of latents. */
    public static BufferedImage decode(Latents latents, Vae vae) {
        return fromModel(vae.decode(latents.times(1 / vae.scalingFactor())), 0, latents.width() * vae.factor(),
                latents.height() * vae.factor());
    }

    /** {@code [3, H, W]} in [-1, 1]. */
    public static float[] toModel(BufferedImage picture) {
        int width = picture.getWidth();
        int height = picture.getHeight();
        float[] values = new float[3 * width * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int rgb = picture.getRGB(x, y);
                for (int c = 0; c < 3; c++) {
                    values[(c * height + y) * width + x] = (rgb >> 16 - 8 * c & 255) / 127.5f - 1;
                }
            }
        }
        return values;
    }

    /**
     * Picture {@code index} of {@code [B, 3, H, W]}; values outside [-1, 1] are clipped.
     *
     * @throws WeightException when a value is not a number: what would be black says nothing about the reason
     */
    public static BufferedImage fromModel(float[] values, int index, int width, int height) {
        BufferedImage picture = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int rgb = 0;
                for (int c = 0; c < 3; c++) {
                    float v = values[((index * 3 + c) * height + y) * width + x];
                    if (Float.isNaN(v)) {
                        throw new WeightException("the picture came out as not-a-number: the weights of the model are damaged, "
                                + "a scale is far too large, or the precision is too low (try fp32)");
                    }
                    rgb = rgb << 8 | Math.clamp(Math.round((v + 1) * 127.5f), 0, 255);
                }
                picture.setRGB(x, y, rgb);
            }
        }
        return picture;
    }
}
