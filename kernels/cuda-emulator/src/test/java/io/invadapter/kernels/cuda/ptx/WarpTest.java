package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.Random;
import java.util.function.IntUnaryOperator;
import org.junit.jupiter.api.Test;

/** Communication between threads: shuffles, votes, shared memory, atomics, barriers. */
class WarpTest {
    private static final int[] LANE_VALUES = new Random(1).ints(32, -100, 100).toArray();

    @Test
    void shuffles() {
        int[] a = LANE_VALUES;
        IntUnaryOperator[] expected = {
            l -> a[l * 7 & 31],
            l -> a[l >= 3 ? l - 3 : l],
            l -> a[l + 5 < 32 ? l + 5 : l],
            l -> a[l ^ 9],
            l -> a[l & ~7 | l + 1 & 7],
            l -> a[(l & 15) >= 2 ? l - 2 : l],
            l -> a[(l & 3) + 3 < 4 ? l + 3 : l],
            // xor 12 leaves the segment of 8 lanes: own value beyond it, a lower segment's below.
            l -> a[(l ^ 12) <= (l | 7) ? l ^ 12 : l],
            l -> (l & 1) != 0 ? a[l ^ 2] : -1,
            l -> a[Math.min(l + 1, 31)]};
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * 32 * expected.length);
            p.run(Programs.kernel("warp", "shuffles"), new Dim(1), new Dim(32), 0, p.upload(a), out);
            int[] got = p.ints(out, 32 * expected.length);
            for (int k = 0; k < expected.length; k++) {
                for (int l = 0; l < 32; l++) {
                    assertEquals(expected[k].applyAsInt(l), got[k * 32 + l], "shuffle " + k + ", lane " + l);
                }
            }
        }
    }

    @Test
    void votes() {
        int[] a = LANE_VALUES;
        int positive = 0;
        for (int l = 0; l < 32; l++) {
            positive |= a[l] > 0 ? 1 << l : 0;
        }
        int positives = positive;
        IntUnaryOperator same = l -> {
            int mask = 0;
            for (int m = 0; m < 32; m++) {
                mask |= (a[m] & 3) == (a[l] & 3) ? 1 << m : 0;
            }
            return mask;
        };
        int unsignedMin = Arrays.stream(a).map(x -> x ^ Integer.MIN_VALUE).min().getAsInt() ^ Integer.MIN_VALUE;
        IntUnaryOperator[] expected = {l -> positives, l -> 1, l -> 0, same, l -> Arrays.stream(a).sum(),
            l -> Arrays.stream(a).max().getAsInt(), l -> unsignedMin, l -> a[l] > 0 ? positives : 0, l -> 0};
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * 32 * expected.length);
            p.run(Programs.kernel("warp", "votes"), new Dim(1), new Dim(32), 0, p.upload(a), out);
            int[] got = p.ints(out, 32 * expected.length);
            for (int k = 0; k < expected.length; k++) {
                for (int l = 0; l < 32; l++) {
                    assertEquals(expected[k].applyAsInt(l), got[k * 32 + l], "vote " + k + ", lane " + l);
                }
            }
        }
    }

    @Test
    void sums() {
        int n = 10000;
        float[] a = new float[n];
        int[] b = new Random(2).ints(4 * 256).toArray();
        Random random = new Random(3);
        double total = 0;
        for (int i = 0; i < n; i++) {
            a[i] = random.nextFloat();
            total += a[i];
        }
        try (Programs p = new Programs()) {
            long out = p.allocate(16);
            p.run(Programs.kernel("warp", "block_sum"), new Dim(4), new Dim(256), 0, p.upload(a), out, n);
            float[] parts = p.floats(out, 4);
            assertEquals(total, parts[0] + parts[1] + parts[2] + parts[3], 1e-2);
            p.run(Programs.kernel("warp", "tree_sum"), new Dim(4), new Dim(256), 1024, p.upload(b), out);
            int[] sums = p.ints(out, 4);
            for (int i = 0; i < 4; i++) {
                assertEquals(Arrays.stream(b, i * 256, i * 256 + 256).sum(), sums[i]);
            }
        }
    }

    @Test
    void atomics() {
        int n = 1500;
        int[] a = new Random(4).ints(n).toArray();
        int[] initial = new int[22];
        initial[16] = Integer.MIN_VALUE;
        initial[17] = Integer.MAX_VALUE;
        int[] want = initial.clone();
        float sum = 0;
        long big = 0;
        for (int x : a) {
            want[x & 15]++;
            want[16] = Math.max(want[16], x);
            want[17] = Math.min(want[17], x);
            want[18] |= x;
            want[19] ^= x;
            want[20] = want[20] >= 99 ? 0 : want[20] + 1;
            want[21] += x & 3;
            sum += x & 7;
            big += x & 0xffffffffL;
        }
        try (Programs p = new Programs()) {
            long out = p.upload(initial);
            long floats = p.upload(0f);
            long longs = p.upload(0L);
            p.run(Programs.kernel("warp", "atomics"), new Dim(12), new Dim(128), 0, p.upload(a), out, floats, longs, n);
            assertArrayEquals(want, p.ints(out, 22));
            assertEquals(sum, p.floats(floats, 1)[0]);
            assertEquals(big, p.longs(longs, 1)[0]);
        }
    }

    @Test
    void reducingBarriers() {
        int[] a = new Random(5).ints(96, -100, 100).toArray();
        int positives = (int) Arrays.stream(a).filter(x -> x > 0).count();
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * 96);
            p.run(Programs.kernel("warp", "block_votes"), new Dim(1), new Dim(96), 0, p.upload(a), out);
            int[] want = new int[96];
            Arrays.fill(want, positives * 4 + 2);
            assertArrayEquals(want, p.ints(out, 96));
        }
    }

    @Test
    void namedBarriers() {
        int[] a = new Random(6).ints(64).toArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(256);
            p.run(Programs.kernel("warp", "producer"), new Dim(1), new Dim(128), 0, p.upload(a), out);
            int[] got = p.ints(out, 64);
            for (int i = 0; i < 64; i++) {
                assertEquals(a[63 - i] + 1, got[i]);
            }
        }
    }
}
