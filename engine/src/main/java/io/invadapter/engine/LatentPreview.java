package io.invadapter.engine;

import io.invadapter.engine.model.Latents;
import io.invadapter.engine.model.Vae;
import java.awt.Color;
import java.awt.image.BufferedImage;

/**
 * Latents as a small picture, a pixel for each position: the colour is a linear function of the channels. Which one is read
 * off the VAE itself, by encoding a picture of many colours, when it is needed first.
 */
final class LatentPreview {
    /** Of the picture that is encoded, in positions. */
    private static final int SIDE = 16;

    private final Vae vae;
    /** For red, green and blue: a factor for each channel and a constant. */
    private double[][] factors;

    LatentPreview(Vae vae) {
        this.vae = vae;
    }

    /** @param row of the batch */
    BufferedImage picture(Latents latents, int row) {
        if (factors == null) {
            factors = fit();
        }
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

    /** Least squares over the positions of a picture with soft changes of colour. */
    private double[][] fit() {
        int factor = vae.factor();
        BufferedImage colours = new BufferedImage(SIDE * factor, SIDE * factor, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < colours.getHeight(); y++) {
            for (int x = 0; x < colours.getWidth(); x++) {
                colours.setRGB(x, y, colour((x + 0.5) / factor, (y + 0.5) / factor));
            }
        }
        Latents latents = FacePicture.encode(colours, vae);
        int unknowns = latents.channels() + 1;
        // The normal equations, with the three right sides beside them.
        double[][] equations = new double[unknowns][unknowns + 3];
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                double[] channels = channels(latents, x, y);
                Color seen = new Color(colours.getRGB(x * factor + factor / 2, y * factor + factor / 2));
                double[] sides = {seen.getRed(), seen.getGreen(), seen.getBlue()};
                for (int i = 0; i < unknowns; i++) {
                    for (int j = 0; j < unknowns; j++) {
                        equations[i][j] += channels[i] * channels[j];
                    }
                    for (int k = 0; k < 3; k++) {
                        equations[i][unknowns + k] += channels[i] * sides[k];
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

    /** Waves of other lengths in each direction for each colour: all combinations of bright and dark come up. */
    private static int colour(double x, double y) {
        int red = (int) Math.round(127.5 + 127.5 * Math.sin(0.7 * x + 0.3 * y));
        int green = (int) Math.round(127.5 + 127.5 * Math.sin(0.8 * y - 0.2 * x + 1));
        int blue = (int) Math.round(127.5 + 127.5 * Math.sin(0.5 * (x + y) + 2));
        return new Color(red, green, blue).getRGB();
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
