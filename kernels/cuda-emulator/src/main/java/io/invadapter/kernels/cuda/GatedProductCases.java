package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.ptx.Counters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Product of rows made to mean 0 and deviation 1, bias and GEGLU in one launch, against float64. */
final class GatedProductCases {
    private static final int ROWS = 128;
    private static final int COLUMNS = 64;
    private static final float EPSILON = 1e-5f;

    private GatedProductCases() {
    }

    /** What the types beside float16 are tried with; float32 has no such kernel. */
    static List<KernelCase> few(DataType type) {
        return type == DataType.FLOAT32 ? List.of()
                : List.of(rows(130, 64, 72, 0.3, 1), rows(20, 128, 8, 100, 1), rows(3, 32, 64, -2, 0.5));
    }

    static List<KernelCase> all() {
        List<KernelCase> cases = new ArrayList<>(few(DataType.FLOAT16));
        // One tile of the depth to more than the buffers hold twice.
        for (int tiles = 1; tiles <= 7; tiles++) {
            cases.add(rows(17, tiles * 32, 40, 0.5, 1.5));
        }
        // Each end of a tile of rows, and of a block; each end of a block's columns.
        for (int rows : new int[] {1, 8, 63, 64, 65, 127, 128, 129, 257}) {
            cases.add(rows(rows, 32, 16, 0, 1));
        }
        for (int columns = 8; columns <= 136; columns += 16) {
            cases.add(rows(5, 32, columns, 0, 1));
        }
        cases.add(rows(256, 320, 64, 0.2, 1));
        // As float16 can hardly tell apart.
        cases.add(rows(40, 64, 24, 1000, 2));
        cases.add(rows(40, 640, 8, -100, 0.7));
        cases.add(new KernelCase("gated product of rows without deviation", bench -> {
            float[] x = new float[9 * 64];
            Arrays.fill(x, 2.5f);
            run(bench, x, 9, 64, 24);
        }));
        // One channel that all rows have far from the others, as transformers do, and the pivot among them.
        cases.add(new KernelCase("gated product of rows with an outlier", bench -> {
            float[] x = bench.random(new Random(1), 33 * 96, 0, 1);
            for (int row = 0; row < 33; row++) {
                x[row * 96 + (row % 2 == 0 ? 0 : 50)] = 800;
            }
            run(bench, x, 33, 96, 40);
        }));
        return cases;
    }

    private static KernelCase rows(int rows, int depth, int columns, double mean, double deviation) {
        return new KernelCase("gated product, " + rows + " x " + depth + " to " + columns + ", mean " + mean + ", deviation "
                + deviation, bench -> run(bench, bench.random(new Random(rows), rows * depth, mean, deviation), rows, depth, columns));
    }

    private static void run(Bench bench, float[] x, int rows, int depth, int columns) {
        Random random = new Random(columns);
        float[] weight = bench.random(random, 2 * columns * depth, 0, 1 / Math.sqrt(depth));
        float[] bias = bench.random(random, 2 * columns, 0.1, 0.5);
        double[] expected = reference(x, weight, bias, rows, columns);
        long out = bench.result(expected.length);
        new GatedProduct(bench.library()).normedGeglu(bench.values(x), bench.values(weight), bench.floats(sums(weight, depth)),
                bench.values(bias), out, rows, depth, columns, EPSILON, null);
        Bench.close("gated product", expected, bench.readValues(out, expected.length), bench.tolerance());
        bench.counted(launches -> count(launches.getFirst(), bench.size(), rows, depth, columns));
    }

    private static float[] sums(float[] weight, int depth) {
        float[] sums = new float[weight.length / depth];
        for (int row = 0; row < sums.length; row++) {
            double sum = 0;
            for (int k = 0; k < depth; k++) {
                sum += weight[row * depth + k];
            }
            sums[row] = (float) sum;
        }
        return sums;
    }

    private static double[] reference(float[] x, float[] weight, float[] bias, int rows, int columns) {
        int depth = x.length / rows;
        float[] ones = new float[depth];
        Arrays.fill(ones, 1);
        return product(NormalisationCases.layerReference(x, ones, new float[depth], rows, EPSILON), weight, bias, rows, columns);
    }

    /** {@code (normed Wv^T + bv) gelu(normed Wg^T + bg)}. */
    static double[] product(double[] normed, float[] weight, float[] bias, int rows, int columns) {
        int depth = normed.length / rows;
        double[] expected = new double[rows * columns];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                double value = bias[c];
                double gate = bias[columns + c];
                for (int k = 0; k < depth; k++) {
                    value += normed[r * depth + k] * weight[c * depth + k];
                    gate += normed[r * depth + k] * weight[(columns + c) * depth + k];
                }
                expected[r * columns + c] = value * PointwiseCases.gelu(gate);
            }
        }
        return expected;
    }

    /** The products of whole tiles and no more; each block reads its rows and its columns once. */
    private static void count(Counters counters, int size, int rows, int depth, int columns) {
        long rowBlocks = Math.ceilDiv(rows, ROWS);
        long columnBlocks = Math.ceilDiv(columns, COLUMNS);
        long least = rowBlocks * columnBlocks * (ROWS / 16) * (2 * COLUMNS / 8) * (depth / 16);
        Bench.require(counters.mmaInstructions() == least, counters.mmaInstructions() + " mma, whole tiles are " + least);
        long loaded = columnBlocks * rows * depth * size + rowBlocks * 2 * columns * depth * size
                + rowBlocks * 2 * columns * (Float.BYTES + size) + columnBlocks * rows * size;
        Bench.require(counters.globalLoadedBytes() == loaded, counters.globalLoadedBytes() + " bytes loaded instead of " + loaded);
        long stored = (long) rows * columns * size;
        Bench.require(counters.globalStoredBytes() == stored, counters.globalStoredBytes() + " bytes stored instead of " + stored);
        Bench.require(counters.bankConflicts() == 0, "bank conflicts: " + counters.worstBankConflicts());
        NormalisationCases.coalesced(counters);
    }
}
