package io.invadapter.timing;

import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.kernels.Device.Activation;

/** The sizes of a model, without weights. */
public record Structure(UNetConfig unet, ClipTextConfig textEncoder, VaeConfig vae) {
    /** Tokens of a text. */
    public static final int TEXT_TOKENS = 77;

    /** Stable Diffusion 1.5. */
    public static final Structure STABLE_DIFFUSION_15 = new Structure(
            new UNetConfig(4, 4, 64, 64, new int[] {320, 640, 1280, 1280}, new int[] {2, 2, 2, 2},
                    new boolean[] {true, true, true, false}, new boolean[] {false, true, true, true}, new int[] {8, 8, 8, 8},
                    new int[] {1, 1, 1, 1}, 768, 32, 1e-5f, true, 0),
            new ClipTextConfig(768, 3072, 12, 12, TEXT_TOKENS, 49408, Activation.QUICK_GELU, 1e-5f),
            new VaeConfig(4, new int[] {128, 256, 512, 512}, 2, 32, 0.18215, true, true, true, false));

    /** The same for latents of another size. */
    Structure withLatents(int size) {
        return new Structure(new UNetConfig(unet.inChannels(), unet.outChannels(), size, size, unet.blockChannels(),
                unet.layersPerBlock(), unet.downAttention(), unet.upAttention(), unet.heads(), unet.transformerDepth(),
                unet.contextChannels(), unet.groups(), unet.normEpsilon(), unet.flipSinToCos(), unet.frequencyShift()),
                textEncoder, vae);
    }
}
