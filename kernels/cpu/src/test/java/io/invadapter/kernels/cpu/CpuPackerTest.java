package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a packer takes of the memory it gives back. */
class CpuPackerTest {
    private static final int CHANNELS = 128;

    @ParameterizedTest
    @EnumSource(value = Precision.class, names = {"FP32", "BF16"})
    void aClosedPackerHoldsNothing(Precision precision) {
        long first = NativeMemory.handedOut();
        try (Device device = Devices.open("cpu", precision, notice -> { })) {
            network(device);
            device.trim();
            long once = NativeMemory.handedOut();
            for (int i = 0; i < 3; i++) {
                network(device);
            }
            device.trim();
            assertEquals(once, NativeMemory.handedOut());
            pack(device.packer());
            assertTrue(NativeMemory.handedOut() > once);
        }
        assertEquals(first, NativeMemory.handedOut(), "the device frees what packers still hold");
    }

    private record Layers(Device.Linear linear, Device.GatedLinear gated, Device.TokenMixer mixer, Device.Convolution convolution,
            Device.Norm norm, Device.Table table) {
    }

    private static Layers pack(Packer packer) {
        return new Layers(packer.linear(weight(CHANNELS, CHANNELS), weight(CHANNELS)),
                packer.gatedLinear(weight(2 * CHANNELS, CHANNELS), weight(2 * CHANNELS),
                        new Device.LayerNorm(weight(CHANNELS), weight(CHANNELS), 1e-5f)),
                packer.tokenMixer(weight(4, 9)),
                packer.convolution(weight(CHANNELS, CHANNELS, 3, 3), weight(CHANNELS), 1, Device.Padding.same(1), DataType.FLOAT32),
                packer.norm(weight(CHANNELS), weight(CHANNELS)), packer.table(weight(10, CHANNELS)));
    }

    /** Packs layers, computes with them, the convolution in several layouts of its weights, and closes them. */
    private static void network(Device device) {
        try (Packer packer = device.packer(); Scope scope = device.scope()) {
            Layers layers = pack(packer);
            Tensor x = device.embed(layers.table, layers.table, new int[][] {{1, 2, 3, 4, 5, 6, 7, 8, 9}});
            x = device.gatedLinear(device.linear(x, layers.linear, Device.Activation.NONE, null), layers.gated);
            device.mixTokens(x, layers.mixer);
            for (int size : new int[] {3, 33, 64}) {
                Tensor map = device.upload(device.precision().type(), new float[size * size * CHANNELS], 1, size, size, CHANNELS);
                device.conv2d(device.groupNorm(map, layers.norm, 8, 1e-5f, true), layers.convolution, null, null);
            }
        }
    }

    private static HostTensor weight(int... shape) {
        int elements = 1;
        for (int extent : shape) {
            elements *= extent;
        }
        return HostTensor.of(new float[elements], shape);
    }
}
