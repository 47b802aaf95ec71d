package io.invadapter.verification;

import io.invadapter.weights.model.SyntheticWeights;

/** The picture of the synthetic full-size case: noise, clamped, smoothed by a 9 x 9 mean, stretched and clamped again. */
final class SyntheticPicture {
    static final int SIZE = 512;
    private static final int RADIUS = 4;

    private SyntheticPicture() {
    }

    /** {@code [3, 512, 512]} in [-1, 1] */
    static float[] make() {
        float[] noise = SyntheticWeights.make("case.image", 1, 0, 1, 3, SIZE, SIZE).toFloats();
        float[] picture = new float[noise.length];
        for (int i = 0; i < noise.length; i++) {
            noise[i] = Math.clamp(noise[i], -1f, 1f) * 0.9f;
        }
        for (int c = 0; c < 3; c++) {
            for (int y = 0; y < SIZE; y++) {
                for (int x = 0; x < SIZE; x++) {
                    double sum = 0;
                    for (int v = Math.max(0, y - RADIUS); v <= Math.min(SIZE - 1, y + RADIUS); v++) {
                        for (int u = Math.max(0, x - RADIUS); u <= Math.min(SIZE - 1, x + RADIUS); u++) {
                            sum += noise[(c * SIZE + v) * SIZE + u];
                        }
                    }
                    picture[(c * SIZE + y) * SIZE + x] = Math.clamp((float) (sum / 81) * 4, -1f, 1f);
                }
            }
        }
        return picture;
    }

    /** Rows and columns {@code from} to {@code from + size} of {@code [3, 512, 512]}. */
    static float[] crop(float[] picture, int from, int size) {
        float[] part = new float[3 * size * size];
        for (int c = 0; c < 3; c++) {
            for (int y = 0; y < size; y++) {
                System.arraycopy(picture, (c * SIZE + from + y) * SIZE + from, part, (c * size + y) * size, size);
            }
        }
        return part;
    }

    static float[] channelMeans(float[] picture) {
        float[] means = new float[3];
        for (int c = 0; c < 3; c++) {
            double sum = 0;
            for (int i = 0; i < SIZE * SIZE; i++) {
                sum += picture[c * SIZE * SIZE + i];
            }
            means[c] = (float) (sum / (SIZE * SIZE));
        }
        return means;
    }
}
