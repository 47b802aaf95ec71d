package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cpu.CpuLinear.Combine;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CpuLinearTest {
    private final Random random = new Random(5);

    @BeforeAll
    static void load() {
        NativeLibraries.load();
    }

    /** As on a processor for which oneDNN cannot read an operand within the product. */
    @ParameterizedTest
    @CsvSource({"ADD, NONE, true", "ADD, NONE, false", "MULTIPLY, GELU, true", "MULTIPLY, NONE, false"})
    void anOperandApartGivesTheSame(Combine combine, Activation activation, boolean biased) {
        int rows = 21;
        int in = 40;
        int out = 24;
        try (CpuDevice device = new CpuDevice(Precision.FP32)) {
            CpuLinear layer = device.packer().linear(HostTensor.of(randoms(in * out), out, in),
                    biased ? HostTensor.of(randoms(out), out) : null);
            Tensor x = device.upload(DataType.FLOAT32, randoms(rows * in), rows, in);
            Tensor operand = device.upload(DataType.FLOAT32, randoms(rows * out), rows, out);
            Tensor fused = device.allocate(DataType.FLOAT32, rows, out);
            layer.run(device, x, fused, activation, combine, operand);
            Tensor apart = device.allocate(DataType.FLOAT32, rows, out);
            layer.runApart(device.oneDnn(), DataType.FLOAT32, rows, layer.weights().address(device), x.address(), apart.address(),
                    activation, combine, operand.address());
            assertArrayEquals(device.download(fused), device.download(apart), 1e-5f);
        }
    }

    private float[] randoms(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian() / 4;
        }
        return values;
    }
}
