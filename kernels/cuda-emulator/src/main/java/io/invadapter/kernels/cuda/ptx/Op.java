package io.invadapter.kernels.cuda.ptx;

/** A decoded instruction. Decoded instructions are shared by all workers and hold no state of a run. */
abstract class Op {
    /** Returned by {@link #step} when the lanes no longer share a next instruction. */
    static final int RESCHEDULE = -1;

    int index;
    int line;
    String text;
    /** The row of the guard predicate, or -1. */
    int guard = -1;
    /** All ones for a negated guard. */
    int guardFlip;
    /** For accesses to memory: the bits of {@link Access}. */
    int access;

    /** Executes for the lanes in {@code mask}, never empty, which all are at this instruction. */
    abstract void run(Warp w, int mask);

    /**
     * Executes where the guard holds and says where to go on.
     *
     * @param mask   the lanes at this instruction
     * @param active those whose guard holds
     */
    int step(Warp w, int mask, int active, int pc) {
        if (active != 0) {
            run(w, active);
        }
        return pc + 1;
    }

    /** Whether two lanes store the same value with this instruction. */
    boolean storesSame(Warp w, int lane, int other) {
        return false;
    }
}
