package io.invadapter.kernels.cuda.ptx;

/**
 * Instructions that only compute. A row function computes all 32 lanes in one tight loop; under a partial mask it goes
 * to scratch space and the active lanes are copied. So no row function may fail, whatever inactive lanes hold.
 */
final class Alu {
    /** Computes 32 words. */
    @FunctionalInterface
    interface WordRow {
        void compute(Warp w, int[] out, int o);
    }

    /** Computes 32 longs. */
    @FunctionalInterface
    interface LongRow {
        void compute(Warp w, long[] out, int o);
    }

    /** Computes a predicate for 32 lanes. */
    @FunctionalInterface
    interface MaskRow {
        int compute(Warp w);
    }

    private Alu() { }

    static final class WordOp extends Op {
        private final int target;
        private final WordRow row;

        WordOp(int target, WordRow row) {
            this.target = target;
            this.row = row;
        }

        @Override
        void run(Warp w, int mask) {
            if (mask == -1) {
                row.compute(w, w.r, target);
            } else {
                row.compute(w, w.wordResult, 0);
                merge(w, target, mask, w.wordResult);
            }
        }
    }

    static final class LongOp extends Op {
        private final int target;
        private final LongRow row;

        LongOp(int target, LongRow row) {
            this.target = target;
            this.row = row;
        }

        @Override
        void run(Warp w, int mask) {
            if (mask == -1) {
                row.compute(w, w.d, target);
            } else {
                row.compute(w, w.longResult, 0);
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    w.d[target + lane] = w.longResult[lane];
                }
            }
        }
    }

    static final class MaskOp extends Op {
        private final int target;
        private final MaskRow row;

        MaskOp(int target, MaskRow row) {
            this.target = target;
            this.row = row;
        }

        @Override
        void run(Warp w, int mask) {
            mergePredicate(w, target, mask, row.compute(w));
        }
    }

    /** Copies the active lanes of a scratch row to a register. */
    static void merge(Warp w, int target, int mask, int[] from) {
        if (mask == -1) {
            System.arraycopy(from, 0, w.r, target, Warp.LANES);
            return;
        }
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            w.r[target + lane] = from[lane];
        }
    }

    static void mergePredicate(Warp w, int target, int mask, int value) {
        w.p[target] = w.p[target] & ~mask | value & mask;
    }
}
