package io.invadapter.engine.picture;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferInt;

/** Pictures of another size. */
public final class Scaling {

    private Scaling() {
    }

    /**
     * The largest centred part that has the proportions of {@code width} and {@code height}, scaled to them, opaque RGB; transparent parts
     * become white. A picture of that size stays what it is.
     */
    public static BufferedImage cover(BufferedImage picture, int width, int height) {
        double scale = Math.min((double) picture.getWidth() / width, (double) picture.getHeight() / height);
        int partWidth = Math.clamp(Math.round(width * scale), 1, picture.getWidth());
        int partHeight = Math.clamp(Math.round(height * scale), 1, picture.getHeight());
        int left = (picture.getWidth() - partWidth) / 2;
        int top = (picture.getHeight() - partHeight) / 2;
        BufferedImage rgb = new BufferedImage(partWidth, partHeight, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = rgb.createGraphics();
        g.setColor(Color.WHITE);
        g.fillRect(0, 0, partWidth, partHeight);
        g.drawImage(Colours.asWritten(picture), -left, -top, null);
        g.dispose();
        return partWidth == width && partHeight == height ? rgb : resize(rgb, width, height);
    }

    /** Bicubic (a = -0.5), the kernel widened when the picture shrinks so that nothing flickers between samples. */
    private static BufferedImage resize(BufferedImage source, int width, int height) {
        int[] pixels = ((DataBufferInt) source.getRaster().getDataBuffer()).getData();
        Samples across = Samples.of(source.getWidth(), width);
        Samples down = Samples.of(source.getHeight(), height);
        float[] rows = new float[source.getHeight() * width * 3];
        for (int y = 0; y < source.getHeight(); y++) {
            for (int x = 0; x < width; x++) {
                float[] weights = across.weights[x];
                for (int k = 0; k < weights.length; k++) {
                    int rgb = pixels[y * source.getWidth() + across.first[x] + k];
                    int at = (y * width + x) * 3;
                    rows[at] += weights[k] * (rgb >> 16 & 255);
                    rows[at + 1] += weights[k] * (rgb >> 8 & 255);
                    rows[at + 2] += weights[k] * (rgb & 255);
                }
            }
        }
        BufferedImage result = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            float[] weights = down.weights[y];
            for (int x = 0; x < width; x++) {
                int rgb = 0;
                for (int c = 0; c < 3; c++) {
                    float sum = 0;
                    for (int k = 0; k < weights.length; k++) {
                        sum += weights[k] * rows[((down.first[y] + k) * width + x) * 3 + c];
                    }
                    rgb = rgb << 8 | Math.clamp(Math.round(sum), 0, 255);
                }
                result.setRGB(x, y, rgb);
            }
        }
        return result;
    }

    /**
     * Which pixels of a line make those of another.
     *
     * @param first   of each pixel
     * @param weights of that and those after it, for each pixel
     */
    private record Samples(int[] first, float[][] weights) {

        static Samples of(int length, int size) {
            float[][] weights = new float[size][];
            int[] first = new int[size];
            double scale = (double) length / size;
            double support = 2 * Math.max(scale, 1);
            for (int i = 0; i < size; i++) {
                double centre = (i + 0.5) * scale;
                first[i] = Math.max(0, (int) (centre - support + 0.5));
                int end = Math.min(length, (int) (centre + support + 0.5));
                weights[i] = new float[end - first[i]];
                double sum = 0;
                for (int k = 0; k < weights[i].length; k++) {
                    double w = cubic((first[i] + k - centre + 0.5) / Math.max(scale, 1));
                    weights[i][k] = (float) w;
                    sum += w;
                }
                for (int k = 0; k < weights[i].length; k++) {
                    weights[i][k] /= (float) sum;
                }
            }
            return new Samples(first, weights);
        }

        private static double cubic(double x) {
            double t = Math.abs(x);
            return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
        }
    }
}
