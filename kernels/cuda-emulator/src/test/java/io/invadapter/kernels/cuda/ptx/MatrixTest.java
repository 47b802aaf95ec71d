package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** cp.async, ldmatrix and mma against plain products in double. */
class MatrixTest {
    private static void product(boolean bfloat, int m, int n, int k) {
        Random random = new Random(m + n + k);
        short[] a = new short[m * k];
        short[] b = new short[k * n];
        double[] x = new double[m * k];
        double[] y = new double[k * n];
        fill(random, bfloat, a, x);
        fill(random, bfloat, b, y);
        Kernel kernel = Programs.kernel("matrix", bfloat ? "gemm_bf16" : "gemm_f16");
        try (Programs p = new Programs()) {
            long c = p.allocate(4L * m * n);
            Counters counters = p.run(kernel, new Dim(n / 64, (m + 63) / 64), new Dim(128), 0, p.upload(a), p.upload(b), c,
                    m, n, k);
            float[] got = p.floats(c, m * n);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    double sum = 0;
                    for (int q = 0; q < k; q++) {
                        sum += x[i * k + q] * y[q * n + j];
                    }
                    assertEquals(sum, got[i * n + j], 1e-5 * Math.sqrt(k) + Math.abs(sum) * 1e-6,
                            "element " + i + ", " + j);
                }
            }
            assertEquals((m + 63L) / 64 * 4 * (n / 8) * (k / 16), counters.mmaInstructions());
        }
    }

    private static void fill(Random random, boolean bfloat, short[] bits, double[] values) {
        for (int i = 0; i < bits.length; i++) {
            float v = (float) random.nextGaussian();
            bits[i] = bfloat ? (short) (Float.floatToRawIntBits(v) >>> 16) : Float.floatToFloat16(v);
            values[i] = bfloat ? Float.intBitsToFloat(bits[i] << 16) : Float.float16ToFloat(bits[i]);
        }
    }

    @Test
    void productsOfHalves() {
        product(false, 64, 64, 16);
        product(false, 150, 128, 80);
    }

    @Test
    void productsOfBfloats() {
        product(true, 100, 64, 48);
    }

    @Test
    void tf32Tile() {
        Random random = new Random(1);
        float[] a = new float[16 * 8];
        float[] b = new float[8 * 8];
        // Few enough bits that tf32 holds them exactly.
        for (int i = 0; i < a.length; i++) {
            a[i] = random.nextInt(-500, 500);
        }
        for (int i = 0; i < b.length; i++) {
            b[i] = random.nextInt(-500, 500) / 8f;
        }
        try (Programs p = new Programs()) {
            long c = p.allocate(4 * 16 * 8);
            p.run(Programs.kernel("matrix", "tile_tf32"), new Dim(1), new Dim(32), 0, p.upload(a), p.upload(b), c);
            float[] got = p.floats(c, 128);
            for (int i = 0; i < 16; i++) {
                for (int j = 0; j < 8; j++) {
                    float sum = 0;
                    for (int q = 0; q < 8; q++) {
                        sum += a[i * 8 + q] * b[q * 8 + j];
                    }
                    assertEquals(sum, got[i * 8 + j]);
                }
            }
        }
    }

    @Test
    void halfAccumulators() {
        Random random = new Random(2);
        short[] a = new short[16 * 8];
        short[] b = new short[8 * 8];
        double[] x = new double[a.length];
        double[] y = new double[b.length];
        fill(random, false, a, x);
        fill(random, false, b, y);
        try (Programs p = new Programs()) {
            long c = p.allocate(2 * 16 * 8);
            p.run(Programs.kernel("matrix", "tile_f16"), new Dim(1), new Dim(32), 0, p.upload(a), p.upload(b), c);
            short[] got = p.shorts(c, 128);
            for (int i = 0; i < 16; i++) {
                for (int j = 0; j < 8; j++) {
                    double sum = 0.5;
                    for (int q = 0; q < 8; q++) {
                        sum += x[i * 8 + q] * y[q * 8 + j];
                    }
                    assertEquals(sum, Float.float16ToFloat(got[i * 8 + j]), Math.abs(sum) / 2000 + 1e-6);
                }
            }
        }
    }

    @Test
    void bfloatTile() {
        Random random = new Random(6);
        short[] a = new short[16 * 8];
        short[] b = new short[8 * 8];
        double[] x = new double[a.length];
        double[] y = new double[b.length];
        fill(random, true, a, x);
        fill(random, true, b, y);
        try (Programs p = new Programs()) {
            long c = p.allocate(4 * 16 * 8);
            p.run(Programs.kernel("matrix", "tile_bf16"), new Dim(1), new Dim(32), 0, p.upload(a), p.upload(b), c);
            float[] got = p.floats(c, 128);
            for (int i = 0; i < 16; i++) {
                for (int j = 0; j < 8; j++) {
                    double sum = 0.5;
                    for (int q = 0; q < 8; q++) {
                        sum += x[i * 8 + q] * y[q * 8 + j];
                    }
                    assertEquals(sum, got[i * 8 + j], 1e-5);
                }
            }
        }
    }

    /** Eight products and 0.5 are added exactly, then cut: nothing is lost on the way, and nothing rounded at the end. */
    @Test
    void sumsAreCut() {
        float ulp = 0x1p-23f;
        assertEquals(1.5f, sum(1, 1.5f * 0x1p-12f));
        assertEquals(-1.5f, sum(-2, -1.5f * 0x1p-12f));
        assertEquals(1.5f + ulp, sum(1, 0x1p-13f, 0x1p-13f, 0x1p-13f, 0x1p-13f));
    }

    /** {@code 0.5 + first + 0x1p-12 others[0] + ...} on a tensor core. */
    private static float sum(float first, float... others) {
        short[] a = new short[16 * 8];
        short[] b = new short[8 * 8];
        a[0] = (short) (Float.floatToRawIntBits(1) >>> 16);
        b[0] = (short) (Float.floatToRawIntBits(first) >>> 16);
        for (int i = 0; i < others.length; i++) {
            a[1 + i] = (short) (Float.floatToRawIntBits(0x1p-12f) >>> 16);
            b[(1 + i) * 8] = (short) (Float.floatToRawIntBits(others[i]) >>> 16);
        }
        try (Programs p = new Programs()) {
            long c = p.allocate(4 * 16 * 8);
            p.run(Programs.kernel("matrix", "tile_bf16"), new Dim(1), new Dim(32), 0, p.upload(a), p.upload(b), c);
            return p.floats(c, 1)[0];
        }
    }

    @Test
    void transposeInRegisters() {
        int[] a = new Random(3).ints(32).toArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(128);
            p.run(Programs.kernel("matrix", "transpose_in_registers"), new Dim(1), new Dim(32), 0, p.upload(a), out);
            short[] got = p.shorts(out, 64);
            for (int i = 0; i < 8; i++) {
                for (int j = 0; j < 8; j++) {
                    int at = j * 8 + i;
                    assertEquals((short) (a[at / 2] >> at % 2 * 16), got[i * 8 + j]);
                }
            }
        }
    }

    @Test
    void everyFormOfLdmatrix() {
        int[] a = new Random(4).ints(128).toArray();
        int[] matrixOf = {0, 0, 0, 1, 0, 1, 0, 1, 2, 3, 0, 1, 2, 3};
        boolean[] transposed = {false, true, false, false, true, true, false, false, false, false, true, true, true, true};
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * 14 * 32);
            p.run(Programs.kernel("matrix", "matrices"), new Dim(1), new Dim(32), 0, p.upload(a), out);
            int[] got = p.ints(out, 14 * 32);
            for (int r = 0; r < 14; r++) {
                for (int lane = 0; lane < 32; lane++) {
                    for (int h = 0; h < 2; h++) {
                        int row = transposed[r] ? lane % 4 * 2 + h : lane / 4;
                        int column = transposed[r] ? lane / 4 : lane % 4 * 2 + h;
                        int word = a[matrixOf[r] * 32 + row * 4 + column / 2];
                        assertEquals((short) (word >> column % 2 * 16), (short) (got[r * 32 + lane] >> h * 16),
                                "register " + r + ", lane " + lane);
                    }
                }
            }
        }
    }

    @Test
    void copiesOfEverySize() {
        Kernel k = Programs.kernel("matrix", "copies");
        for (int valid : new int[] {0, 3, 8, 16}) {
            try (Programs p = new Programs()) {
                // Exactly what may be read: a byte more would be out of bounds.
                long a = p.allocate(16 + valid);
                byte[] source = new byte[16 + valid];
                new Random(5).nextBytes(source);
                p.emulator.write(a, MemorySegment.ofArray(source), source.length);
                long out = p.allocate(48);
                p.run(k, new Dim(1), new Dim(1), 0, a, out, valid);
                byte[] got = new byte[48];
                p.emulator.read(MemorySegment.ofArray(got), out, 48, false);
                for (int i = 0; i < 48; i++) {
                    int from = i < 4 ? i + 4 : i < 8 || i >= 16 + valid ? -1 : i;
                    assertEquals(from < 0 ? 0 : source[from], got[i], "byte " + i + " of " + valid);
                }
            }
        }
    }
}
