package io.invadapter.kernels.cuda.ptx;

/**
 * {@code bar}/{@code barrier}: sync, arrive and red. The aligned forms need the whole warp at one place; the others
 * take each thread as it comes.
 */
final class BarrierOp extends SyncOp {
    enum Reduction { NONE, AND, OR, POPC }

    private final boolean aligned;
    private final boolean wait;
    private final int id;
    private final int count;
    private final Reduction reduction;
    private final int source;
    private final boolean sourceNegated;
    private final int target;

    /**
     * @param id     row of the barrier number
     * @param count  row of the thread count, or -1
     * @param source predicate of a reducing form
     * @param target its result: a predicate row for and/or, a word row for popc
     */
    BarrierOp(boolean aligned, boolean wait, int id, int count, Reduction reduction, int source, boolean sourceNegated,
              int target) {
        this.aligned = aligned;
        this.wait = wait;
        this.id = id;
        this.count = count;
        this.reduction = reduction;
        this.source = source;
        this.sourceNegated = sourceNegated;
        this.target = target;
    }

    @Override
    int members(Warp w, int lane) {
        return aligned ? w.live : 1 << lane;
    }

    @Override
    int meet(Warp w, int mask, int pc) {
        int lane = Integer.numberOfTrailingZeros(mask);
        int truths = reduction == Reduction.NONE ? 0 : w.p[source] ^ (sourceNegated ? -1 : 0);
        if (wait) {
            w.block(mask, pc);
        }
        w.cta.arrive(w, this, mask, w.r[id + lane], count < 0 ? 0 : w.r[count + lane], wait, truths);
        return wait ? RESCHEDULE : pc + 1;
    }

    @Override
    void run(Warp w, int mask) {
        throw new IllegalStateException("barriers are met, not run");
    }

    /** All have arrived: writes the result of the reduction. */
    void complete(Warp w, int mask, int truths, int total) {
        switch (reduction) {
            case NONE -> { }
            case AND -> Alu.mergePredicate(w, target, mask, truths == total ? -1 : 0);
            case OR -> Alu.mergePredicate(w, target, mask, truths > 0 ? -1 : 0);
            case POPC -> {
                for (int m = mask; m != 0; m &= m - 1) {
                    w.r[target + Integer.numberOfTrailingZeros(m)] = truths;
                }
            }
        }
    }
}
