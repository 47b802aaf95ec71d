package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** How a linear layer is computed: in one launch where cublasLt can, and that is fastest. */
class ProductsTest {
    private static final int ROWS = 12;
    private static final String KEY = "product FLOAT32 12 x 20 -> 16 + bias + residual";

    private final EmulatedGpu gpu = EmulatedGpu.fast();
    private final ChoiceBook book = ChoiceBook.inMemory();
    private final Random random = new Random(1);

    private CudaDevice open() {
        return CudaDeviceTest.open(gpu, Precision.FP32, book);
    }

    private float[] random(int count) {
        // Multiples of 1/8 below 4: sums of their products are exact.
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = random.nextInt(-32, 33) / 8f;
        }
        return values;
    }

    /** A layer, its operands, and what comes out without activation and residual. */
    private final class Layer {
        final float[] x;
        final float[] residual;
        final float[] expected;
        final Device.Linear linear;
        final Tensor input;
        final Tensor added;

        /** @param first row of a larger tensor from which on its rows are x and residual */
        Layer(Device device, int in, int out, boolean biased, int first) {
            float[] weight = random(in * out);
            float[] bias = random(out);
            x = random(ROWS * in);
            residual = random(ROWS * out);
            linear = device.packer().linear(HostTensor.of(weight, out, in), biased ? HostTensor.of(bias, out) : null);
            input = rows(device, x, in, first);
            added = rows(device, residual, out, first);
            expected = new float[ROWS * out];
            for (int row = 0; row < ROWS; row++) {
                for (int o = 0; o < out; o++) {
                    float sum = biased ? bias[o] : 0;
                    for (int i = 0; i < in; i++) {
                        sum += x[row * in + i] * weight[o * in + i];
                    }
                    expected[row * out + o] = sum;
                }
            }
        }

        private Tensor rows(Device device, float[] values, int channels, int first) {
            Tensor larger = device.allocate(DataType.FLOAT32, ROWS + first, channels);
            float[] all = new float[(ROWS + first) * channels];
            System.arraycopy(values, 0, all, first * channels, values.length);
            device.write(larger, all);
            return larger.rows(first, ROWS);
        }

        float[] run(Device device, boolean withResidual) {
            try (Scope scope = device.scope()) {
                return device.download(device.linear(input, linear, Activation.NONE, withResidual ? added : null));
            }
        }

        void check(Device device, boolean withResidual) {
            float[] sum = expected.clone();
            for (int i = 0; i < sum.length && withResidual; i++) {
                sum[i] += residual[i];
            }
            assertArrayEquals(sum, run(device, withResidual));
        }
    }

    /** Launches of one more run: products, kernels. */
    private List<Long> launches(Runnable run) {
        long products = gpu.faults().products();
        long kernels = gpu.launched();
        run.run();
        return List.of(gpu.faults().products() - products, gpu.launched() - kernels);
    }

    @Test
    void biasAndResidualAreNoLaunchesOfTheirOwn() {
        try (CudaDevice device = open()) {
            for (boolean biased : new boolean[] {true, false}) {
                Layer layer = new Layer(device, 20, 16, biased, 0);
                for (boolean residual : new boolean[] {true, false}) {
                    layer.check(device, residual);
                    assertEquals(List.of(1L, 0L), launches(() -> layer.check(device, residual)));
                }
            }
        }
    }

    @Test
    void anActivationIsOneKernelMore() {
        try (CudaDevice device = open()) {
            Layer layer = new Layer(device, 20, 16, true, 0);
            Runnable run = () -> {
                try (Scope scope = device.scope()) {
                    float[] found = device.download(device.linear(layer.input, layer.linear, Activation.SILU, layer.added));
                    for (int i = 0; i < found.length; i++) {
                        double sum = layer.expected[i];
                        assertEquals(sum / (1 + Math.exp(-sum)) + layer.residual[i], found[i], 1e-4);
                    }
                }
            };
            run.run();
            assertEquals(List.of(1L, 1L), launches(run));
        }
    }

    @Test
    void whatCublasLtRefusesIsAProductAndOneKernel() {
        try (CudaDevice device = open()) {
            // Three rows on, an address is a multiple of 4 only.
            Layer layer = new Layer(device, 7, 5, true, 3);
            layer.check(device, true);
            assertEquals(List.of(1L, 1L), launches(() -> layer.check(device, true)));
            // In a tensor's first row it is aligned: another work, for which there is a way.
            Layer aligned = new Layer(device, 7, 5, true, 0);
            aligned.check(device, true);
            assertEquals(List.of(1L, 0L), launches(() -> aligned.check(device, true)));
        }
    }

    @Test
    void theFasterWayIsTaken() {
        gpu.fusedTakes(2);
        try (CudaDevice device = open()) {
            Layer layer = new Layer(device, 20, 16, true, 0);
            layer.check(device, true);
            assertEquals(List.of(1L, 1L), launches(() -> layer.check(device, true)));
            assertEquals("cuBLAS, then add", book.find(KEY).orElseThrow().name());
        }
    }

    @Test
    void whatWasChosenIsNotTimedAgain() {
        try (CudaDevice device = open()) {
            assertTrue(launches(() -> new Layer(device, 20, 16, true, 0).check(device, true)).getFirst() > 1);
            // Another layer of the same size.
            assertEquals(List.of(1L, 0L), launches(() -> new Layer(device, 20, 16, true, 0).check(device, true)));
        }
        EmulatedGpu other = EmulatedGpu.fast();
        try (CudaDevice device = CudaDeviceTest.open(other, Precision.FP32, book)) {
            new Layer(device, 20, 16, true, 0).check(device, true);
            assertEquals(1, other.faults().products());
            assertEquals(0, other.launched());
        }
    }

    @Test
    void aMomentWithoutMemoryChangesNoChoice() {
        long allocations;
        try (CudaDevice device = open()) {
            Layer layer = new Layer(device, 20, 16, true, 0);
            long before = gpu.faults().allocations();
            layer.check(device, true);
            allocations = gpu.faults().allocations() - before;
        }
        for (long n = 1; n <= allocations; n++) {
            EmulatedGpu poor = EmulatedGpu.fast();
            ChoiceBook own = ChoiceBook.inMemory();
            try (CudaDevice device = CudaDeviceTest.open(poor, Precision.FP32, own)) {
                Layer layer = new Layer(device, 20, 16, true, 0);
                poor.faults().failAllocation(n);
                try {
                    layer.check(device, true);
                } catch (OutOfDeviceMemoryException e) {
                    layer.check(device, true);
                }
            }
            assertEquals("emulated cuBLASLt", own.find(KEY).orElseThrow().name(), "after allocation " + n);
        }
    }

    @Test
    void aRecordedLayerGivesTheBitsOfADirectRun() {
        try (CudaDevice device = open(); Scope scope = device.scope()) {
            Layer layer = new Layer(device, 20, 16, true, 0);
            Layer other = new Layer(device, 16, 20, true, 0);
            Tensor result = device.allocate(DataType.FLOAT32, ROWS, 20);
            List<float[]> found = new ArrayList<>();
            try (Device.Recording recording = device.record(() -> {
                // The second layer's scratch memory is the first's.
                Tensor y = device.linear(layer.input, layer.linear, Activation.NONE, layer.added);
                device.copy(device.linear(y, other.linear, Activation.NONE, other.added), result);
            })) {
                for (int run = 0; run < 3; run++) {
                    recording.run();
                    found.add(device.download(result));
                }
            }
            assertArrayEquals(found.get(0), found.get(1));
            assertArrayEquals(found.get(0), found.get(2));
        }
        assertEquals(0, gpu.usedMemory());
        assertEquals(0, gpu.openHandles());
    }
}
