package io.invadapter.bench;

import io.invadapter.engine.model.UNetConfig;

/**
 * The sizes of a model, without weights.
 *
 * @param textEncoder its configuration, JSON as in {@code text_encoder/config.json}
 * @param vae         its configuration, JSON as in {@code vae/config.json}
 */
public record Structure(UNetConfig unet, String textEncoder, String vae) {
    /** Tokens of a text. */
    public static final int TEXT_TOKENS = 77;

    /** Stable Diffusion 1.5. */
    public static final Structure STABLE_DIFFUSION_15 = new Structure(
            new UNetConfig(4, 4, 64, new int[] {320, 640, 1280, 1280}, new int[] {2, 2, 2, 2},
                    new boolean[] {true, true, true, false}, new boolean[] {false, true, true, true}, new int[] {8, 8, 8, 8},
                    new int[] {1, 1, 1, 1}, 768, 32, 1e-5f, true, 0),
            """
            {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12, "intermediate_size": 3072,
             "vocab_size": 49408}""",
            """
            {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}""");

    /** The same for latents of another size. */
    Structure withLatents(int size) {
        return new Structure(new UNetConfig(unet.inChannels(), unet.outChannels(), size, unet.blockChannels(),
                unet.layersPerBlock(), unet.downAttention(), unet.upAttention(), unet.heads(), unet.transformerDepth(),
                unet.contextChannels(), unet.groups(), unet.normEpsilon(), unet.flipSinToCos(), unet.frequencyShift()),
                textEncoder, vae);
    }
}
