package io.invadapter.kernels.cuda.ptx;

import java.util.Arrays;

/** The {@code cp.async} copies of a warp that are on their way: captured at issue, visible only after a wait. */
final class AsyncCopies {
    private static final int SLOT = 16;

    private int count;
    private int[] lane = new int[64];
    private int[] target = new int[64];
    private int[] size = new int[64];
    private int[] group = new int[64];
    private byte[] data = new byte[64 * SLOT];
    private final int[] committed = new int[Warp.LANES];

    void reset() {
        count = 0;
        Arrays.fill(committed, 0);
    }

    /** Adds a copy to the open group of its lane; its bytes past {@code valid} are zero. */
    void add(int toLane, int toTarget, int bytes, byte[] source, int from, int valid) {
        if (count == lane.length) {
            lane = Arrays.copyOf(lane, count * 2);
            target = Arrays.copyOf(target, count * 2);
            size = Arrays.copyOf(size, count * 2);
            group = Arrays.copyOf(group, count * 2);
            data = Arrays.copyOf(data, count * 2 * SLOT);
        }
        lane[count] = toLane;
        target[count] = toTarget;
        size[count] = bytes;
        group[count] = committed[toLane] + 1;
        if (valid > 0) {
            System.arraycopy(source, from, data, count * SLOT, valid);
        }
        Arrays.fill(data, count * SLOT + valid, (count + 1) * SLOT, (byte) 0);
        count++;
    }

    void commit(int mask) {
        for (int m = mask; m != 0; m &= m - 1) {
            committed[Integer.numberOfTrailingZeros(m)]++;
        }
    }

    /** Finishes the copies of these lanes but for the {@code latest} committed groups (and the open one). */
    void await(Warp w, int mask, int latest) {
        finish(w, mask, latest, false);
    }

    /** Finishes all copies of these lanes. */
    void awaitAll(Warp w, int mask) {
        finish(w, mask, 0, true);
    }

    private void finish(Warp w, int mask, int latest, boolean all) {
        int kept = 0;
        for (int i = 0; i < count; i++) {
            int l = lane[i];
            if ((mask >>> l & 1) != 0 && (all || group[i] <= committed[l] - latest)) {
                w.cta.shared.finishAsync(w, l, target[i], data, i * SLOT, size[i]);
            } else {
                if (kept != i) {
                    lane[kept] = l;
                    target[kept] = target[i];
                    size[kept] = size[i];
                    group[kept] = group[i];
                    System.arraycopy(data, i * SLOT, data, kept * SLOT, SLOT);
                }
                kept++;
            }
        }
        count = kept;
    }
}
