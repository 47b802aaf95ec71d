package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A gated layer behind a layer norm: in one launch where that is fastest, in three where not, with the same weights. */
class GatedWaysTest {
    private static final int ROWS = 30;
    private static final int COLUMNS = 24;
    private static final float EPSILON = 1e-5f;

    private final EmulatedGpu gpu = EmulatedGpu.fast();
    private final ChoiceBook book = ChoiceBook.inMemory();

    private static HostTensor random(Random random, double mean, double deviation, int... shape) {
        float[] values = new float[shape[0] * (shape.length == 1 ? 1 : shape[1])];
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16((float) (mean + deviation * random.nextGaussian())));
        }
        return HostTensor.of(values, shape);
    }

    /** Checks the result of rows that much off zero, and what a run starts: products and kernels. */
    private List<Long> run(int depth, double mean) {
        try (CudaDevice device = CudaDeviceTest.open(gpu, Precision.FP16, book); Scope scope = device.scope()) {
            Random random = new Random(depth);
            HostTensor weight = random(random, 0, 1 / Math.sqrt(depth), 2 * COLUMNS, depth);
            HostTensor bias = random(random, 0, 0.5, 2 * COLUMNS);
            HostTensor scale = random(random, 1, 0.3, depth);
            HostTensor shift = random(random, 0.1, 0.5, depth);
            float[] x = random(random, mean, 1, ROWS, depth).toFloats();
            Device.GatedLinear layer = device.packer().gatedLinear(weight, bias, new Device.LayerNorm(scale, shift, EPSILON));
            Tensor input = device.upload(DataType.FLOAT16, x, ROWS, depth);
            device.download(device.gatedLinear(input, layer));
            long products = gpu.faults().products();
            long kernels = gpu.launched();
            float[] found = device.download(device.gatedLinear(input, layer));
            double[] normed = NormalisationCases.layerReference(x, scale.toFloats(), shift.toFloats(), ROWS, EPSILON);
            Bench.close("gated layer, mean " + mean, GatedProductCases.product(normed, weight.toFloats(), bias.toFloats(), ROWS, COLUMNS),
                    found, 4e-3);
            return List.of(gpu.faults().products() - products, gpu.launched() - kernels);
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.3, 100})
    void oneLaunchWhereThatIsFastest(double mean) {
        assertEquals(List.of(0L, 1L), run(64, mean));
        assertTrue(book.find("gated product FLOAT16 30 x 64 to 24").isPresent());
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.3, 100})
    void threeWhereTheyWereFaster(double mean) {
        book.put("gated product FLOAT16 30 x 64 to 24", new ChoiceBook.Entry("SEPARATELY", 1));
        assertEquals(List.of(1L, 2L), run(64, mean));
    }

    /** The grid of a product in one launch; blocks along x follow each other. */
    private static Grid grid(int rows, int columns) {
        Grid[] launched = new Grid[1];
        CudaDriver driver = (CudaDriver) Proxy.newProxyInstance(GatedWaysTest.class.getClassLoader(), new Class<?>[] {CudaDriver.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("load")) {
                        return (CudaDriver.Module) kernel -> null;
                    }
                    launched[0] = (Grid) arguments[1];
                    return null;
                });
        new GatedProduct(new KernelLibrary(driver, DataType.FLOAT16)).normedGeglu(64, 64, 64, 64, 64, rows, 320, columns, 0, null);
        return launched[0];
    }

    /** Rows of 320 values beside weights of 2 x 320 for each column. */
    @Test
    void theLargerOperandIsReadOnce() {
        assertEquals(new Grid(20, 64, 1), grid(8192, 1280));
        assertEquals(new Grid(16, 40, 1), grid(2048, 2560));
        assertEquals(new Grid(20, 20, 1), grid(2560, 1280));
        assertEquals(new Grid(20, 21, 1), grid(2561, 1280));
    }

    @Test
    void threeWhereTheKernelDoesNotServe() {
        assertEquals(List.of(1L, 2L), run(40, 0.3));
    }

    @Test
    void threeWhereTheKernelCannotBeLoaded() {
        gpu.faults().failModule("f16/gated_linear");
        assertEquals(List.of(1L, 2L), run(64, 0.3));
    }
}
