package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.Arrays;
import java.util.Random;

/**
 * Times attention and the embedded attention adapter at the sizes of SD 1.5 on GPU 0 and prints microseconds (median of
 * rounds), TFLOP/s, and the fraction of the card's dense float16 peak given as the only argument, in TFLOP/s.
 *
 * <p>The adapter is also set against two calls of plain attention and an addition, and plain attention is timed with the kernel for
 * many blocks and with the one of half the rows, whichever of them is the choice.
 */
final class AttentionTiming {
    private static final int HEADS = 8;
    private static final int ROUNDS = 15;
    private static final int CALLS_PER_ROUND = 20;

    private final Bench bench;
    private final double peak;
    private final Random random = new Random(1);

    private AttentionTiming(Bench bench, double peak) {
        this.bench = bench;
        this.peak = peak;
    }

    public static void main(String[] arguments) {
        System.setProperty("cuda.driver", "jcuda");
        try (Bench bench = Bench.open(DataType.FLOAT16)) {
            System.out.println(bench.driver().deviceName());
            System.out.printf("%6s %6s %6s %6s %6s %10s %10s %10s %10s %10s %10s %8s %8s%n", "batch", "head", "L", "keys", "id",
                    "plain us", "many us", "few us", "two us", "eaa us", "TFLOP/s", "of peak", "eaa/two");
            AttentionTiming timing = new AttentionTiming(bench, Double.parseDouble(arguments[0]));
            int[][] levels = {{4096, 40}, {1024, 80}, {256, 160}, {64, 160}};
            for (int batch : new int[] {1, 2, 3, 16}) {
                for (int[] level : levels) {
                    timing.time(batch, level[1], level[0], level[0], level[0]);
                    timing.time(batch, level[1], level[0], 77, Math.min(256, level[0]));
                }
            }
        }
    }

    private Strided array(int batch, int tokens, int size) {
        long address = bench.values(bench.random(random, batch * tokens * HEADS * size, 0, 1));
        return Strided.contiguous(address, tokens, HEADS, size);
    }

    private void time(int batch, int size, int tokens, int keys, int identityKeys) {
        Attention attention = new Attention(bench.library());
        Pointwise pointwise = new Pointwise(bench.library());
        Strided q = array(batch, tokens, size);
        Strided k = array(batch, keys, size);
        Strided v = array(batch, keys, size);
        Strided otherK = array(1, identityKeys, size);
        Strided otherV = array(1, identityKeys, size);
        Strided first = array(batch, tokens, size);
        Strided second = array(batch, tokens, size);
        // One identity for all rows: for plain attention that is a batch stride of 0.
        Strided sharedK = new Strided(otherK.address(), 0, otherK.rowStride(), otherK.headStride());
        Strided sharedV = new Strided(otherV.address(), 0, otherV.rowStride(), otherV.headStride());
        float[] lambda = new float[batch];
        Arrays.fill(lambda, 0.8f);
        Attention.Source identity = new Attention.Source(otherK, otherV, identityKeys, 1, bench.ints(new int[batch]),
                bench.floats(lambda));
        float scale = (float) (1 / Math.sqrt(size));
        Attention.Shape own = new Attention.Shape(batch, HEADS, tokens, keys, size, scale);
        Attention.Shape other = new Attention.Shape(batch, HEADS, tokens, identityKeys, size, scale);

        double plain = median(() -> attention.attention(q, k, v, first, own, false, null));
        double many = median(() -> new Attention(bench.library(), 0, 163 * 1024).attention(q, k, v, first, own, false, null));
        double few = median(() -> new Attention(bench.library(), Integer.MAX_VALUE, 163 * 1024).attention(q, k, v, first, own, false, null));
        double two = median(() -> {
            attention.attention(q, k, v, first, own, false, null);
            attention.attention(q, sharedK, sharedV, second, other, false, null);
            pointwise.add(first.address(), 0, Activation.NONE, second.address(), first.address(), batch * tokens, HEADS * size, null);
        });
        double eaa = median(() -> attention.eaaAttention(q, k, v, first, identity, own, null));
        double teraflops = 4.0 * batch * HEADS * tokens * (keys + identityKeys) * size / eaa / 1e6;
        System.out.printf("%6d %6d %6d %6d %6d %10.1f %10.1f %10.1f %10.1f %10.1f %10.1f %7.1f%% %8.2f%n", batch, size, tokens, keys,
                identityKeys, plain, many, few, two, eaa, teraflops, 100 * teraflops / peak, eaa / two);
        bench.clear();
    }

    private double median(Runnable call) {
        call.run();
        CudaDriver driver = bench.driver();
        double[] microseconds = new double[ROUNDS];
        try (CudaDriver.Event start = driver.newEvent(); CudaDriver.Event end = driver.newEvent()) {
            for (int round = 0; round < ROUNDS; round++) {
                start.record(null);
                for (int i = 0; i < CALLS_PER_ROUND; i++) {
                    call.run();
                }
                end.record(null);
                microseconds[round] = end.millisecondsSince(start) * 1000 / CALLS_PER_ROUND;
            }
        }
        Arrays.sort(microseconds);
        return microseconds[ROUNDS / 2];
    }
}
