package io.invadapter.kernels.cuda.ptx;

import java.util.Arrays;

/**
 * 32 threads: their registers and their program counters.
 *
 * <p>Each lane has a program counter of its own. Lanes with the same one run together; of several such groups the one
 * that is furthest behind runs first, so that groups meet again as soon as the code allows.
 */
final class Warp {
    static final int LANES = 32;
    /** So many backward branches are one turn; then other groups and other warps get theirs. */
    private static final int TURN = 4096;

    final Cta cta;
    final int index;

    /** Registers up to 32 bits, [row][lane]; 16-bit values are zero-extended. */
    final int[] r;
    /** 64-bit registers, [row][lane]. */
    final long[] d;
    /** Predicate registers, a bit for each lane. */
    final int[] p;

    /** Lanes that have not exited. */
    int live;
    private int runnable;
    private int parked;
    private final int[] pc = new int[LANES];
    private int turn;
    private long backwardBranches;
    private boolean yield;
    private boolean lastFirst;

    /** What this warp knows of the clocks of all warps; see {@link SharedMemory}. */
    final int[] clock;
    final AsyncCopies copies = new AsyncCopies();
    final byte[] local;
    final byte[] localInitialized;

    /** Scratch space of the memory instructions: the address of each lane, and where that is. */
    final long[] address = new long[LANES];
    final byte[][] memory = new byte[LANES][];
    final int[] offset = new int[LANES];
    /** Scratch space for results under a partial mask. */
    final int[] wordResult = new int[LANES];
    final long[] longResult = new long[LANES];
    /** Scratch space of comparisons: the lanes where a is below, equal to and above b. */
    int less;
    int equal;
    int greater;
    /** Scratch space of the matrix instructions. */
    final double[] matrixA = new double[16 * 16];
    final double[] matrixB = new double[16 * 8];
    final float[] matrixC = new float[16 * 8];
    final int[][] wordResults = new int[4][LANES];

    Warp(Cta cta, int index, Launch launch, int warps) {
        Kernel kernel = launch.kernel();
        this.cta = cta;
        this.index = index;
        this.r = launch.words().clone();
        this.d = launch.longs().clone();
        this.p = new int[Math.max(1, kernel.predicates)];
        this.clock = new int[warps];
        this.local = new byte[kernel.localBytes * LANES];
        this.localInitialized = new byte[kernel.localBytes * LANES];
        SpecialRegisters.fill(this, kernel, launch.dynamicSharedBytes());
    }

    /** For the next CTA. Registers keep what the last one left in them, as they do on a GPU; constants are never written. */
    void reset(int lanes) {
        SpecialRegisters.fillCta(this, cta.kernel);
        Arrays.fill(p, 0);
        Arrays.fill(clock, 0);
        clock[index] = 1;
        Arrays.fill(pc, 0);
        Arrays.fill(localInitialized, (byte) 0);
        copies.reset();
        live = lanes;
        runnable = lanes;
        parked = 0;
        turn = 0;
        backwardBranches = 0;
        lastFirst = false;
    }

    boolean isRunnable() {
        return runnable != 0;
    }

    /** Runs until all lanes wait or have exited, or the turn is over. */
    void run(Op[] ops) {
        Tally[] tallies = cta.tallies;
        yield = false;
        while (!yield) {
            if (runnable == 0) {
                if (!releaseParked(ops)) {
                    return;
                }
                continue;
            }
            int at = Integer.MAX_VALUE;
            int limit = Integer.MAX_VALUE;
            int mask = 0;
            for (int m = runnable; m != 0; m &= m - 1) {
                int lane = Integer.numberOfTrailingZeros(m);
                int here = pc[lane];
                if (lastFirst ? at == Integer.MAX_VALUE || here > at : here < at) {
                    limit = at;
                    at = here;
                    mask = 1 << lane;
                } else if (here == at) {
                    mask |= 1 << lane;
                } else {
                    limit = Math.min(limit, here);
                }
            }
            if (lastFirst) {
                // Groups are run against their order only to let a lane that others spin on make progress.
                limit = Integer.MAX_VALUE;
            }
            do {
                Op op = ops[at];
                int active = op.guard < 0 ? mask : mask & (p[op.guard] ^ op.guardFlip);
                Tally t = tallies[at];
                t.executed++;
                t.lanes += Integer.bitCount(active);
                at = op.step(this, mask, active, at);
            } while (at >= 0 && at < limit);
            if (at >= 0) {
                resume(mask, at);
            }
        }
    }

    /** Counts a backward branch; true when the warp must stop here to let others run. */
    boolean turnIsOver(Op op, int mask) {
        if (++turn < TURN) {
            return false;
        }
        turn = 0;
        backwardBranches += TURN;
        if (backwardBranches > cta.loopLimit) {
            throw fault(PtxFault.Kind.TIMEOUT, "more than " + cta.loopLimit + " loop iterations in one warp", op,
                    Integer.numberOfTrailingZeros(mask));
        }
        lastFirst = !lastFirst && mask != runnable;
        yield = true;
        return true;
    }

    // ---- states of lanes ---------------------------------------------------------------------------------------

    /** These lanes go on at {@code target}. */
    void resume(int mask, int target) {
        runnable |= mask;
        for (int m = mask; m != 0; m &= m - 1) {
            pc[Integer.numberOfTrailingZeros(m)] = target;
        }
    }

    /** These lanes wait at the warp-wide instruction at {@code place}. */
    void park(int mask, int place) {
        resume(mask, place);
        runnable &= ~mask;
        parked |= mask;
    }

    void unpark(int mask) {
        parked &= ~mask;
    }

    /** These lanes wait for the rest of the CTA at the barrier at {@code place}. */
    void block(int mask, int place) {
        resume(mask, place);
        runnable &= ~mask;
    }

    void exit(int mask) {
        live &= ~mask;
        runnable &= ~mask;
    }

    int parkedAt(int place) {
        int found = 0;
        for (int m = parked; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            if (pc[lane] == place) {
                found |= 1 << lane;
            }
        }
        return found;
    }

    /** Lanes that have exited since may have been all that others waited for. */
    private boolean releaseParked(Op[] ops) {
        boolean any = false;
        for (int m = parked; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            if ((parked >>> lane & 1) != 0) {
                any |= ((SyncOp) ops[pc[lane]]).release(this, pc[lane]);
            }
        }
        return any && runnable != 0;
    }

    int parked() {
        return parked;
    }

    int pc(int lane) {
        return pc[lane];
    }

    /** Orders the accesses of this warp's lanes before those that follow. */
    void tick(Op op) {
        if (++clock[index] > SharedMemory.MAX_CLOCK) {
            throw fault(PtxFault.Kind.TIMEOUT, "more than " + SharedMemory.MAX_CLOCK + " barriers", op, 0);
        }
    }

    PtxFault fault(PtxFault.Kind kind, String detail, Op op, int lane) {
        return new PtxFault(kind, detail, cta.kernel.name(), op.text, op.line, cta.grid.at(cta.number),
                cta.block.at((long) index * LANES + lane));
    }
}
