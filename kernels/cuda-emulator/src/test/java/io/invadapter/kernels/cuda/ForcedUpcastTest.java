package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.vae.Vae;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.model.SyntheticWeights;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** A VAE that overflows float16 is computed in float32 on a device that was opened in float16. */
class ForcedUpcastTest {

    private static float[] decoded(Precision precision, boolean forceUpcast) {
        VaeConfig config = new VaeConfig(4, new int[] {16, 16}, 1, 8, 0.18215, true, true, true, forceUpcast);
        try (Device device = CudaDeviceTest.open(EmulatedGpu.fast(), precision);
                Vae vae = Vae.load(config, SyntheticWeights.onDemand(), device)) {
            return vae.decode(SeededNoise.latents(1, 4, 4, 4));
        }
    }

    @Test
    void isComputedInFloat32() {
        float[] expected = decoded(Precision.FP32, false);
        assertArrayEquals(expected, decoded(Precision.FP16, true));
        assertFalse(Arrays.equals(expected, decoded(Precision.FP16, false)), "float16 shows");
    }
}
