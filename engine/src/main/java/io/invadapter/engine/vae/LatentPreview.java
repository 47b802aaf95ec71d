package io.invadapter.engine.vae;

import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Part;
import java.awt.image.BufferedImage;

/**
 * Latents as a small picture, a pixel for each position: the colour is a linear function of the channels. Which one is read
 * off the VAE itself, by decoding latents of many values.
 */
public final class LatentPreview {
    /** Of the latents that are decoded. */
    private static final int SIDE = 16;

    private final Part<Vae> pictures;
    /** For red, green and blue: a factor for each channel and a constant. */
    private double[][] factors;

    public LatentPreview(Part<Vae> pictures) {
        this.pictures = pictures;
    }

    public boolean isFitted() {
        return factors != null;
    }

    /** Reads the function off the VAE. */
    public LatentPreview fit() {
        factors = fitted(pictures.use());
        return this;
    }

    /** Once it is fitted. @param row of the batch */
    public BufferedImage picture(Latents latents, int row) {
        BufferedImage picture = new BufferedImage(latents.width(), latents.height(), BufferedImage.TYPE_INT_RGB);
        Latents own = latents.row(row);
        for (int y = 0; y < picture.getHeight(); y++) {
            for (int x = 0; x < picture.getWidth(); x++) {
                double[] channels = channels(own, x, y);
                int rgb = 0;
                for (double[] colour : factors) {
                    double value = 0;
                    for (int c = 0; c < channels.length; c++) {
                        value += colour[c] * channels[c];
                    }
                    rgb = rgb << 8 | Math.clamp(Math.round(value), 0, 255);
                }
                picture.setRGB(x, y, rgb);
            }
        }
        return picture;
    }

    /** Of one position, and 1. */
    private static double[] channels(Latents latents, int x, int y) {
        double[] channels = new double[latents.channels() + 1];
        for (int c = 0; c < latents.channels(); c++) {
            channels[c] = latents.values()[(c * latents.height() + y) * latents.width() + x];
        }
        channels[latents.channels()] = 1;
        return channels;
    }

    /** Least squares over the positions of soft changes of all channels, decoded. */
    private static double[][] fitted(Vae vae) {
        Latents latents = waves(vae.latentChannels());
        BufferedImage colours = PictureLatents.decode(latents, vae);
        int factor = vae.factor();
        int unknowns = latents.channels() + 1;
        // The normal equations, with the three right sides beside them.
        double[][] equations = new double[unknowns][unknowns + 3];
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                double[] channels = channels(latents, x, y);
                double[] seen = mean(colours, x * factor, y * factor, factor);
                for (int i = 0; i < unknowns; i++) {
                    for (int j = 0; j < unknowns; j++) {
                        equations[i][j] += channels[i] * channels[j];
                    }
                    for (int k = 0; k < 3; k++) {
                        equations[i][unknowns + k] += channels[i] * seen[k];
                    }
                }
            }
        }
        solve(equations);
        double[][] solution = new double[3][unknowns];
        for (int k = 0; k < 3; k++) {
            for (int i = 0; i < unknowns; i++) {
                solution[k][i] = equations[i][unknowns + k];
            }
        }
        return solution;
    }

    /** Of each channel another wave, as high as the latents of pictures are: many combinations of values come up. */
    private static Latents waves(int channels) {
        float[] values = new float[channels * SIDE * SIDE];
        for (int c = 0; c < channels; c++) {
            double direction = Math.PI * c / channels;
            for (int y = 0; y < SIDE; y++) {
                for (int x = 0; x < SIDE; x++) {
                    double along = x * Math.cos(direction) + y * Math.sin(direction);
                    values[(c * SIDE + y) * SIDE + x] = (float) (1.5 * Math.sin((0.5 + 0.13 * c) * along + c));
                }
            }
        }
        return new Latents(values, 1, channels, SIDE, SIDE);
    }

    /** Red, green and blue of a square. */
    private static double[] mean(BufferedImage picture, int left, int top, int side) {
        double[] sum = new double[3];
        for (int y = top; y < top + side; y++) {
            for (int x = left; x < left + side; x++) {
                for (int k = 0; k < 3; k++) {
                    sum[k] += (picture.getRGB(x, y) >> 16 - 8 * k & 255) / (double) (side * side);
                }
            }
        }
        return sum;
    }

    /** Gauss and Jordan, in place; a channel that never changes takes no part. */
    private static void solve(double[][] equations) {
        for (int i = 0; i < equations.length; i++) {
            double pivot = equations[i][i] + 1e-9;
            for (int j = i; j < equations[i].length; j++) {
                equations[i][j] /= pivot;
            }
            for (int other = 0; other < equations.length; other++) {
                double multiple = equations[other][i];
                if (other != i) {
                    for (int j = i; j < equations[i].length; j++) {
                        equations[other][j] -= multiple * equations[i][j];
                    }
                }
            }
        }
    }
}
