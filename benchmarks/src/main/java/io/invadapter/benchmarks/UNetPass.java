package io.invadapter.benchmarks;

import io.invadapter.engine.Latents;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.Device;
import io.invadapter.timing.Structure;
import io.invadapter.weights.model.SyntheticWeights;
import java.util.SplittableRandom;

/** A UNet with synthetic weights and one input for it. */
final class UNetPass {
    private static final int TIMESTEP = 501;

    private final UNet unet;
    private final Latents latents;
    private final float[][] contexts;

    /** @param size height and width of the latents */
    UNetPass(UNetConfig config, Device device, int batch, int size) {
        unet = UNet.load(config, SyntheticWeights.onDemand(), device);
        SplittableRandom random = new SplittableRandom(1);
        latents = new Latents(gaussian(random, batch * config.inChannels() * size * size), batch, config.inChannels(), size, size);
        contexts = new float[batch][];
        for (int row = 0; row < batch; row++) {
            contexts[row] = gaussian(random, Structure.TEXT_TOKENS * config.contextChannels());
        }
    }

    Latents run() {
        return unet.predictNoise(latents, TIMESTEP, contexts, AttentionHook.NONE);
    }

    private static float[] gaussian(SplittableRandom random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
