package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import org.junit.jupiter.api.Test;

/** What a packer takes of the GPU's memory it gives back. */
class CudaPackerTest {
    private static final int FEATURES = 300;

    @Test
    void aClosedPackerHoldsNothing() {
        EmulatedGpu gpu = EmulatedGpu.fast();
        try (CudaDevice device = CudaDeviceTest.open(gpu, Precision.FP16)) {
            long empty = gpu.usedMemory();
            for (int network = 0; network < 3; network++) {
                try (Packer packer = device.packer()) {
                    for (int layer = 0; layer < 30; layer++) {
                        packer.linear(HostTensor.of(new float[FEATURES * FEATURES], FEATURES, FEATURES), null);
                    }
                    long packed = 30L * Short.BYTES * FEATURES * FEATURES;
                    long taken = gpu.usedMemory() - empty;
                    assertTrue(taken >= packed && taken < 2 * packed, taken + " bytes for " + packed);
                }
                assertEquals(empty, gpu.usedMemory());
            }
            device.packer().linear(HostTensor.of(new float[FEATURES * FEATURES], FEATURES, FEATURES), null);
        }
        assertEquals(0, gpu.usedMemory(), "the device frees what packers still hold");
    }

    @Test
    void modelsComeAndGo() {
        EmulatedGpu gpu = EmulatedGpu.counting();
        try (CudaDevice device = CudaDeviceTest.open(gpu, Precision.FP16)) {
            long[] used = new long[3];
            for (int i = 0; i < used.length; i++) {
                try (SmallModel model = new SmallModel(device)) {
                    model.picture();
                }
                device.trim();
                used[i] = gpu.usedMemory();
            }
            assertEquals(used[0], used[1]);
            assertEquals(used[0], used[2]);
        }
    }
}
