package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Operators.Padding;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** No kernel is compiled, tested and shipped that no operator launches. */
class EveryKernelTest {
    private static final Pattern ENTRY = Pattern.compile("\\.entry (\\w+)");

    private final EmulatedGpu gpu = EmulatedGpu.counting();

    @ParameterizedTest
    @EnumSource
    void isLaunchedByAnOperator(Precision precision) {
        Set<String> kernels = new TreeSet<>();
        for (String operator : KernelLibrary.operators(precision.type())) {
            ENTRY.matcher(KernelLibrary.ptx(precision.type(), operator)).results().forEach(entry -> kernels.add(entry.group(1)));
        }
        // An A100's, where two blocks of any kernel with half the rows fit.
        gpu.chip(108, 163 * 1024);
        try (Device device = CudaDeviceTest.open(gpu, precision)) {
            try (Scope scope = device.scope()) {
                new Operators(device).all();
            }
            device.trim();
        }
        gpu.started().forEach(kernels::remove);
        assertEquals(Set.of(), kernels);
    }

    /** Each operator with what makes it take another kernel. */
    private record Operators(Device device) {
        private Tensor zeros(int... shape) {
            return device.allocate(device.precision().type(), shape);
        }

        private Tensor floats(int... shape) {
            return device.allocate(DataType.FLOAT32, shape);
        }

        private static HostTensor weights(int... shape) {
            int n = 1;
            for (int extent : shape) {
                n *= extent;
            }
            return HostTensor.of(new float[n], shape);
        }

        void all() {
            products();
            convolutions();
            norms();
            for (int headSize : new int[] {40, 64, 80, 160, 24, 72, 120, 512, 171}) {
                attention(headSize);
            }
            ends();
        }

        private void products() {
            Device.Linear linear = device.packer().linear(weights(64, 64), weights(64));
            for (Activation activation : Activation.values()) {
                device.linear(zeros(2, 64, 64), linear, activation, zeros(2, 64, 64));
            }
            device.gatedLinear(zeros(2, 64, 64), device.packer().gatedLinear(weights(128, 64), weights(128), null));
            device.gatedLinear(zeros(2, 64, 64), device.packer().gatedLinear(weights(128, 64), weights(128),
                    new Device.LayerNorm(weights(64), weights(64), 1e-5f)));
            device.mixTokens(zeros(2, 64, 64), device.packer().tokenMixer(weights(32, 64)));
        }

        private void convolutions() {
            DataType type = device.precision().type();
            Tensor x = zeros(2, 16, 16, 64);
            device.conv2d(x, device.packer().convolution(weights(64, 64, 3, 3), weights(64), 1, Padding.same(1), type), zeros(1, 64), x);
            device.conv2d(x, device.packer().convolution(weights(64, 64, 3, 3), weights(64), 2, new Padding(0, 0, 1, 1), type), null, null);
            device.conv2d(x, device.packer().convolution(weights(64, 64, 3, 3), null, 1, Padding.same(1), DataType.FLOAT32), null, null);
            device.upsample2x(x, 32, 32);
            device.concat(-1, x, x);
        }

        private void norms() {
            for (int[] shape : new int[][] {{2, 8, 8, 64}, {2, 64, 64, 64}, {1, 512, 512, 128}, {2, 8, 8, 66}, {2, 64, 64, 66},
                {2, 8, 8, 2050}}) {
                int channels = shape[3];
                Device.Norm norm = device.packer().norm(weights(channels), weights(channels));
                device.groupNorm(zeros(shape), norm, 2, 1e-5f, true);
                device.groupNorm(zeros(shape), norm, channels / 2, 1e-5f, true);
                device.layerNorm(zeros(2, 64, channels), norm, 1e-5f);
            }
            // Four channels to a group.
            device.groupNorm(zeros(2, 8, 8, 64), device.packer().norm(weights(64), weights(64)), 16, 1e-5f, true);
            device.layerNorm(zeros(2, 64, 65), device.packer().norm(weights(65), weights(65)), 1e-5f);
        }

        /** With many rows and with few, of one source and of two. */
        private void attention(int headSize) {
            for (int length : new int[] {4096, 64}) {
                Tensor x = zeros(2, length, 8 * headSize);
                device.attention(x, List.of(Source.of(x, x)), 8, false);
                device.attention(x, List.of(Source.of(x, x), Source.of(x, x)), 8, false);
            }
        }

        private void ends() {
            device.timestepEmbedding(floats(1), 320, true, 0);
            Device.Table table = device.packer().table(weights(10, 64));
            device.embed(table, table, new int[][] {{1, 2}});
            Tensor latents = floats(2, 64, 64, 4);
            device.toActivations(latents, latents);
            device.combine(List.of(latents), floats(1, 1, 2), latents, latents);
            device.matchDeviation(latents, floats(2, 64, 64, 4), floats(2));
            device.blend(latents, floats(2, 64, 64, 4), floats(1, 64, 64, 1));
        }
    }
}
