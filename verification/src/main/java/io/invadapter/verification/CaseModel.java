package io.invadapter.verification;

import io.invadapter.engine.Latents;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.unet.AttentionHook;
import java.util.List;

/** What cases do with their networks. */
record CaseModel(StableDiffusion networks) {
    static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };

    /** A text as the UNet reads it, {@code [tokens, channels]}. */
    float[] encode(String text) {
        return networks.textEncoderPart().use().encode(networks.tokenizer().encode(text).ids());
    }

    /**
     * One pass of the UNet.
     *
     * @param contexts the text of each row
     * @return {@code [rows, channels, height, width]}
     */
    float[] pass(Latents x, int timestep, float[][] contexts) {
        return networks.unetPart().use().predictNoise(x, timestep, contexts, AttentionHook.NONE).values();
    }

    /**
     * The end of a DDIM loop (eta 0) with guidance.
     *
     * @param noise    {@code [1, channels, height, width]}
     * @param contexts the negative text, the prompt
     */
    float[] ddim(Latents noise, float[][] contexts, double guidance, int steps) {
        try (Diffusion diffusion = networks.diffusion()) {
            return diffusion.generate(new Sampling(noise, List.of(new Diffusion.Guidance(contexts[1], contexts[0], guidance)),
                    diffusion.ddim(steps)), QUIET).values();
        }
    }
}
