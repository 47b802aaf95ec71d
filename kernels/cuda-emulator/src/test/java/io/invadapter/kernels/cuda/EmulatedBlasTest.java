package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas.Matrix;
import io.invadapter.kernels.cuda.blas.Blas.Product;
import io.invadapter.kernels.cuda.blas.Blas.ProductWay;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.ptx.Emulator;
import io.invadapter.kernels.cuda.ptx.PtxException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The emulated cuBLAS and cublasLt against plain float64 sums, and what they refuse. */
class EmulatedBlasTest {
    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final EmulatedBlas blas = new EmulatedBlas(driver);
    private final EmulatedMemory memory = new EmulatedMemory(driver.emulator());
    private final Random random = new Random(1);

    @AfterEach
    void close() {
        blas.close();
        driver.close();
    }

    private long upload(DataType type, float[] values) {
        long address = driver.allocate((long) values.length * type.bytes());
        memory.write(type, address, values, 0, values.length);
        return address;
    }

    private float[] random(int count) {
        // Multiples of 1/8 below 4: exact in every type.
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = random.nextInt(-32, 33) / 8f;
        }
        return values;
    }

    private void product(DataType type, boolean ta, boolean tb, int m, int n, int k, int batch, boolean shared, float beta) {
        int lda = (ta ? k : m) + 3;
        int ldb = (tb ? n : k) + 2;
        int ldc = m + 5;
        long strideA = shared ? 0 : (long) lda * (ta ? m : k);
        long strideB = (long) ldb * (tb ? k : n) + 1;
        long strideC = (long) ldc * n + 4;
        float[] a = random((int) ((batch - 1) * strideA) + lda * (ta ? m : k));
        float[] b = random((int) ((batch - 1) * strideB) + ldb * (tb ? k : n));
        float[] c = random((int) (batch * strideC));
        if (beta == 0) {
            Arrays.fill(c, Float.NaN);
        }
        long addressC = upload(type, c);
        blas.multiply(ta, tb, m, n, k, 0.5f, new Matrix(upload(type, a), lda, strideA),
                new Matrix(upload(type, b), ldb, strideB), beta, new Matrix(addressC, ldc, strideC), type, batch, null);
        float[] found = memory.read(type, addressC, c.length);
        double ulp = type == DataType.FLOAT32 ? 1e-6 : type == DataType.FLOAT16 ? 1e-3 : 8e-3;
        for (int i = 0; i < batch; i++) {
            for (int column = 0; column < n; column++) {
                for (int row = 0; row < ldc; row++) {
                    int at = (int) (i * strideC) + column * ldc + row;
                    if (row >= m) {
                        assertEquals(c[at], found[at], "between the columns");
                        continue;
                    }
                    double sum = 0;
                    for (int l = 0; l < k; l++) {
                        sum += (double) a[(int) (i * strideA) + (ta ? row * lda + l : l * lda + row)]
                                * b[(int) (i * strideB) + (tb ? l * ldb + column : column * ldb + l)];
                    }
                    double expected = 0.5 * sum + (beta == 0 ? 0 : beta * c[at]);
                    assertEquals(expected, found[at], ulp * Math.max(1, Math.abs(expected)));
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT16", "BFLOAT16"})
    void productsAreRight(DataType type) {
        for (int flags = 0; flags < 16; flags++) {
            boolean ta = (flags & 1) != 0;
            boolean tb = (flags & 2) != 0;
            boolean shared = (flags & 4) != 0;
            float beta = (flags & 8) != 0 ? 2 : 0;
            product(type, ta, tb, 7, 5, 9, 1, shared, beta);
            product(type, ta, tb, 33, 16, 20, 3, shared, beta);
            product(type, ta, tb, 1, 1, 1, 2, shared, beta);
        }
    }

    @Test
    void roundsBfloat16ToEven() {
        assertEquals(0x3f80, EmulatedMemory.bfloat16(Float.intBitsToFloat(0x3f808000)));
        assertEquals(0x3f82, EmulatedMemory.bfloat16(Float.intBitsToFloat(0x3f818000)));
        assertEquals(0x3f81, EmulatedMemory.bfloat16(Float.intBitsToFloat(0x3f808001)));
        assertEquals(0x7f80, EmulatedMemory.bfloat16(Float.MAX_VALUE));
        assertEquals((short) 0xff80, EmulatedMemory.bfloat16(Float.NEGATIVE_INFINITY));
        assertEquals(0x7fc0, EmulatedMemory.bfloat16(Float.NaN));
    }

    private void refused(String status, int m, Matrix a, Matrix b, Matrix c, int batch) {
        String message = assertThrows(CudaException.class,
                () -> blas.multiply(false, false, m, 4, 4, 1, a, b, 0, c, DataType.FLOAT16, batch, null)).getMessage();
        assertTrue(message.startsWith("cublasGemmStridedBatchedEx failed: CUBLAS_STATUS_" + status), message);
    }

    @Test
    void refusesWhatCublasRefusesOrTurnsIntoGarbage() {
        Matrix a = new Matrix(upload(DataType.FLOAT16, new float[32]), 4, 16);
        Matrix b = new Matrix(upload(DataType.FLOAT16, new float[32]), 4, 16);
        Matrix c = new Matrix(driver.allocate(64), 4, 16);
        refused("INVALID_VALUE", 0, a, b, c, 1);
        refused("INVALID_VALUE", 4, a, b, c, 0);
        refused("INVALID_VALUE", 4, new Matrix(a.address(), 3, 16), b, c, 1);
        refused("INVALID_VALUE", 4, a, b, new Matrix(c.address(), 3, 16), 1);
        refused("INVALID_VALUE", 4, new Matrix(0, 4, 16), b, c, 1);
        refused("INVALID_VALUE", 4, a, b, new Matrix(c.address(), 4, 0), 2);
        refused("EXECUTION_FAILED", 4, new Matrix(a.address() + 1, 4, 16), b, c, 1);
        refused("EXECUTION_FAILED", 4, a, b, new Matrix(a.address() + 8, 4, 16), 1);
        refused("EXECUTION_FAILED", 4, a, b, b, 1);
        // The second matrix of three is the last that is there.
        assertThrows(PtxException.class, () -> blas.multiply(false, false, 4, 4, 4, 1, a, b, 0,
                new Matrix(driver.allocate(96), 4, 16), DataType.FLOAT16, 3, null));
        // Never written.
        assertThrows(PtxException.class, () -> blas.multiply(false, false, 4, 4, 4, 1, new Matrix(driver.allocate(64), 4, 16),
                b, 0, c, DataType.FLOAT16, 1, null));
        assertThrows(CudaException.class, () -> blas.setWorkspace(128, 1024));
        blas.multiply(false, false, 4, 4, 4, 1, a, b, 0, c, DataType.FLOAT16, 2, null);
        blas.close();
        refused("NOT_INITIALIZED", 4, a, b, c, 1);
    }

    private void fused(DataType type, int rows, int in, int out, boolean biased, boolean added) {
        float[] x = random(rows * in);
        float[] w = random(out * in);
        float[] b = random(out);
        float[] r = random(rows * out);
        long y = driver.allocate((long) rows * out * type.bytes());
        Product product = new Product(type, rows, in, out, biased, added, 16);
        try (ProductWay way = blas.candidates(product).getFirst().prepare()) {
            way.run(upload(type, x), upload(type, w), biased ? upload(type, b) : 0, added ? upload(type, r) : 0, y,
                    driver.allocate(way.workspaceBytes()), null);
        }
        float[] found = memory.read(type, y, rows * out);
        double ulp = type == DataType.FLOAT32 ? 1e-6 : type == DataType.FLOAT16 ? 1e-3 : 8e-3;
        for (int row = 0; row < rows; row++) {
            for (int o = 0; o < out; o++) {
                double sum = (biased ? b[o] : 0) + (added ? r[row * out + o] : 0);
                for (int i = 0; i < in; i++) {
                    sum += (double) x[row * in + i] * w[o * in + i];
                }
                assertEquals(sum, found[row * out + o], ulp * Math.max(1, Math.abs(sum)));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT16", "BFLOAT16"})
    void fusedProductsAreRight(DataType type) {
        for (int flags = 0; flags < 4; flags++) {
            fused(type, 7, 9, 5, (flags & 1) != 0, (flags & 2) != 0);
            fused(type, 33, 20, 16, (flags & 1) != 0, (flags & 2) != 0);
        }
        assertEquals(8, blas.fused());
    }

    private void refused(String status, Runnable call) {
        String message = assertThrows(CudaException.class, call::run).getMessage();
        assertTrue(message.startsWith("cublasLtMatmul failed: CUBLAS_STATUS_" + status), message);
    }

    @Test
    void refusesWhatCublasLtRefusesOrTurnsIntoGarbage() {
        long x = upload(DataType.FLOAT16, new float[64]);
        long w = upload(DataType.FLOAT16, new float[64]);
        long b = upload(DataType.FLOAT16, new float[8]);
        long r = upload(DataType.FLOAT16, new float[64]);
        long y = driver.allocate(128);
        ProductWay way = blas.candidates(new Product(DataType.FLOAT16, 8, 8, 8, true, true, 16)).getFirst().prepare();
        long scratch = driver.allocate(way.workspaceBytes());
        refused("INVALID_VALUE", () -> way.run(x, w, 0, r, y, scratch, null));
        refused("INVALID_VALUE", () -> way.run(x, w, b, 0, y, scratch, null));
        refused("INVALID_VALUE", () -> way.run(x, w, b, r, y, 0, null));
        refused("INVALID_VALUE", () -> way.run(x, w, b, r, y, scratch + 16, null));
        refused("EXECUTION_FAILED", () -> way.run(x, w, b, r + 8, y, scratch, null));
        refused("EXECUTION_FAILED", () -> way.run(x, w, b, r, x, scratch, null));
        refused("EXECUTION_FAILED", () -> way.run(x, w, b, r, r, scratch, null));
        // Never written; not there.
        assertThrows(PtxException.class, () -> way.run(driver.allocate(128), w, b, r, y, scratch, null));
        assertThrows(PtxException.class, () -> way.run(x, w, b, driver.allocate(64), y, scratch, null));
        Product odd = new Product(DataType.FLOAT16, 8, 8, 8, true, true, 2);
        refused("NOT_SUPPORTED", () -> blas.candidates(odd).getFirst().prepare());
        way.run(x, w, b, r, y, scratch, null);
    }

    @Test
    void partsOfOneLargerMatrixDoNotOverlap() {
        // Rows 0 to 3 times something into rows 4 to 7.
        long both = upload(DataType.FLOAT16, new float[8 * 4]);
        Matrix b = new Matrix(upload(DataType.FLOAT16, new float[16]), 4, 16);
        blas.multiply(false, false, 4, 4, 4, 1, new Matrix(both, 8, 0), b, 0, new Matrix(both + 8, 8, 0), DataType.FLOAT16, 1,
                null);
        refused("EXECUTION_FAILED", 4, new Matrix(both, 8, 0), b, new Matrix(both + 6, 8, 0), 1);
    }

    @Test
    void waitsInItsStreamAndCanBeRecorded() {
        long x = upload(DataType.FLOAT32, new float[] {3});
        long y = upload(DataType.FLOAT32, new float[] {1});
        Matrix mx = new Matrix(x, 1, 0);
        Matrix my = new Matrix(y, 1, 0);
        CudaDriver.Stream stream = driver.newStream();
        Runnable work = () -> blas.multiply(false, false, 1, 1, 1, 2, mx, mx, 1, my, DataType.FLOAT32, 1, stream);
        work.run();
        assertEquals(1, memory.read(DataType.FLOAT32, y, 1)[0]);
        stream.synchronize();
        assertEquals(19, memory.read(DataType.FLOAT32, y, 1)[0]);

        assertThrows(CudaException.class, () -> driver.record(stream, work), "without a workspace");
        blas.setWorkspace(driver.allocate(1 << 20), 1 << 20);
        CudaDriver.Graph graph = driver.record(stream, work);
        stream.synchronize();
        assertEquals(19, memory.read(DataType.FLOAT32, y, 1)[0]);
        graph.launch(stream);
        graph.launch(stream);
        stream.synchronize();
        assertEquals(55, memory.read(DataType.FLOAT32, y, 1)[0]);
        assertEquals(2, blas.calls());
    }
}
