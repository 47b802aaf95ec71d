package io.invadapter.benchmarks;

import io.invadapter.engine.model.UNetConfig;

/** The sizes of Stable Diffusion 1.5. */
final class StableDiffusion15 {
    static final int TEXT_TOKENS = 77;
    static final UNetConfig UNET = new UNetConfig(4, 4, 64, new int[] {320, 640, 1280, 1280}, new int[] {2, 2, 2, 2},
            new boolean[] {true, true, true, false}, new boolean[] {false, true, true, true}, new int[] {8, 8, 8, 8},
            new int[] {1, 1, 1, 1}, 768, 32, 1e-5f, true, 0);

    private StableDiffusion15() {
    }
}
