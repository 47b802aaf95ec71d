package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;

/**
 * Noise that depends on the seed alone, bit for bit on every device and Java: number {@code i} of SplitMix64
 * started at {@code seed} gives 53-bit uniforms, two of which make two normal deviates by Box and Muller, computed with
 * {@link StrictMath} and rounded to float32. Values are filled in the order channels, height, width. What a sampler adds at
 * step {@code k} is the noise of another seed: number {@code k} of SplitMix64 started at {@code ~seed}.
 */
public final class SeededNoise {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private SeededNoise() {
    }

    /** What a picture starts from: standard normal latents {@code [1, channels, height, width]}. */
    public static Latents latents(long seed, int channels, int height, int width) {
        float[] values = new float[channels * height * width];
        for (int i = 0; i < values.length; i += 2) {
            double radius = StrictMath.sqrt(-2 * StrictMath.log(uniform(seed, i)));
            double angle = 2 * Math.PI * uniform(seed, i + 1);
            values[i] = (float) (radius * StrictMath.cos(angle));
            if (i + 1 < values.length) {
                values[i + 1] = (float) (radius * StrictMath.sin(angle));
            }
        }
        return new Latents(values, 1, channels, height, width);
    }

    /** What a picture gets added at a step of its walk: standard normal latents {@code [1, channels, height, width]}. */
    public static Latents fresh(long seed, int step, int channels, int height, int width) {
        return latents(random(~seed, step), channels, height, width);
    }

    /** In (0, 1]: the logarithm must not see 0. */
    private static double uniform(long seed, long index) {
        return ((random(seed, index) >>> 11) + 1) * 0x1p-53;
    }

    private static long random(long seed, long index) {
        long z = seed + (index + 1) * GOLDEN;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }
}
