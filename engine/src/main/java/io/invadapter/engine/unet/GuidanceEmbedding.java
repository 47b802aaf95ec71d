package io.invadapter.engine.unet;

/**
 * The guidance scale as an input of the network: sinusoids of it, as of a timestep. Latent consistency models (Luo et al. 2023, section
 * 4.3) are distilled with guidance and need no negative row. diffusers: {@code get_guidance_scale_embedding}.
 */
public final class GuidanceEmbedding {
    private static final float SCALE = 1000;
    private static final float LONGEST = 10_000;

    private GuidanceEmbedding() {
    }

    /**
     * In float32 throughout, as the networks saw it in training: the arguments go to thousands, and in float64 the sines differ by
     * 5e-4.
     *
     * @param guidance 1: none
     * @param channels even, {@link UNetConfig#guidanceChannels}
     * @return {@code [channels]}: sines, then cosines
     */
    public static float[] of(double guidance, int channels) {
        int half = channels / 2;
        float scaled = (float) (guidance - 1) * SCALE;
        float step = -((float) Math.log(LONGEST) / (half - 1));
        float[] embedding = new float[channels];
        for (int i = 0; i < half; i++) {
            float argument = scaled * (float) Math.exp(i * step);
            embedding[i] = (float) Math.sin(argument);
            embedding[half + i] = (float) Math.cos(argument);
        }
        return embedding;
    }
}
