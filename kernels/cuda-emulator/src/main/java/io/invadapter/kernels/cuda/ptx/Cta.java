package io.invadapter.kernels.cuda.ptx;

import java.util.Arrays;

/** The CTA that a worker runs: its warps, its shared memory, its barriers. Used again for the worker's next CTA. */
final class Cta {
    private static final int BARRIERS = 16;

    final Kernel kernel;
    final Dim grid;
    final Dim block;
    final GlobalMemory global;
    final SharedMemory shared;
    final byte[] parameters;
    final Tally[] tallies;
    final Tally.Scratch scratch = new Tally.Scratch();
    final long loopLimit;
    /** Whether races are looked for and accesses counted. */
    final boolean checked;
    /** Linear number of the CTA. */
    int number;
    /** Whether it has used an atomic or a fence, through which it may know what other CTAs did. */
    boolean synchronizesGlobally;

    private final int threads;
    private final Warp[] warps;
    private final Barrier[] barriers = new Barrier[BARRIERS];

    Cta(Launch launch) {
        this.kernel = launch.kernel();
        this.grid = launch.grid();
        this.block = launch.block();
        this.global = launch.global();
        this.parameters = launch.parameters();
        this.loopLimit = launch.loopLimit();
        this.checked = launch.checked();
        this.threads = (int) block.count();
        int count = (threads + Warp.LANES - 1) / Warp.LANES;
        this.shared = new SharedMemory(kernel.sharedBytes + launch.dynamicSharedBytes(), count, checked);
        this.tallies = new Tally[kernel.ops.length];
        Arrays.setAll(tallies, i -> new Tally());
        this.warps = new Warp[count];
        Arrays.setAll(warps, i -> new Warp(this, i, launch, count));
        Arrays.setAll(barriers, i -> new Barrier(count));
    }

    void run(int ctaNumber) {
        number = ctaNumber;
        synchronizesGlobally = false;
        shared.reset();
        for (Barrier b : barriers) {
            b.reset();
        }
        for (Warp w : warps) {
            int lanes = Math.min(Warp.LANES, threads - w.index * Warp.LANES);
            w.reset(lanes == Warp.LANES ? -1 : (1 << lanes) - 1);
        }
        while (true) {
            boolean alive = false;
            boolean progress = false;
            for (Warp w : warps) {
                if (w.isRunnable()) {
                    w.run(kernel.ops);
                    progress = true;
                }
                alive |= w.live != 0;
            }
            if (!alive) {
                return;
            }
            for (Barrier b : barriers) {
                progress |= b.arrived > 0 && b.arrived == (b.expected == 0 ? threads : b.expected) && complete(b);
            }
            if (!progress) {
                throw stuck();
            }
        }
    }

    // ---- barriers ----------------------------------------------------------------------------------------------

    /** A named barrier: who has arrived, and what they knew. */
    private static final class Barrier {
        int arrived;
        int expected;
        int trueCount;
        final int[] waiting;
        final int[] joint;
        final BarrierOp[] op;

        Barrier(int warps) {
            waiting = new int[warps];
            joint = new int[warps];
            op = new BarrierOp[warps];
        }

        void reset() {
            arrived = 0;
            expected = 0;
            trueCount = 0;
            Arrays.fill(waiting, 0);
            Arrays.fill(joint, 0);
        }
    }

    /**
     * Lanes arrive at a barrier.
     *
     * @param expected how many threads take part, 0 for all
     * @param wait     false for {@code bar.arrive}
     * @param truths   the lanes whose predicate holds, for the reducing forms
     */
    void arrive(Warp w, BarrierOp op, int mask, int id, int expected, boolean wait, int truths) {
        int lane = Integer.numberOfTrailingZeros(mask);
        if (id < 0 || id >= BARRIERS || expected < 0 || expected % Warp.LANES != 0) {
            throw w.fault(PtxFault.Kind.BARRIER, "barrier " + id + " for " + expected + " threads", op, lane);
        }
        Barrier b = barriers[id];
        if (b.arrived > 0 && b.expected != expected) {
            throw w.fault(PtxFault.Kind.BARRIER, "barrier " + id + " for " + name(expected)
                    + ", but others arrived at it for " + name(b.expected), op, lane);
        }
        b.expected = expected;
        b.arrived += Integer.bitCount(mask);
        if (b.arrived > (expected == 0 ? threads : expected)) {
            throw w.fault(PtxFault.Kind.BARRIER, b.arrived + " threads arrive at barrier " + id + " for "
                    + name(expected), op, lane);
        }
        b.trueCount += Integer.bitCount(mask & truths);
        for (int v = 0; v < warps.length; v++) {
            b.joint[v] = Math.max(b.joint[v], w.clock[v]);
        }
        w.tick(op);
        if (wait) {
            b.waiting[w.index] |= mask;
            b.op[w.index] = op;
        }
    }

    private static String name(int expected) {
        return expected == 0 ? "all threads" : expected + " threads";
    }

    private boolean complete(Barrier b) {
        int total = b.arrived;
        int truths = b.trueCount;
        for (Warp w : warps) {
            int mask = b.waiting[w.index];
            if (mask != 0) {
                for (int v = 0; v < warps.length; v++) {
                    if (v != w.index) {
                        w.clock[v] = Math.max(w.clock[v], b.joint[v]);
                    }
                }
                b.op[w.index].complete(w, mask, truths, total);
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    w.resume(1 << lane, w.pc(lane) + 1);
                }
            }
        }
        b.reset();
        return true;
    }

    /** Nobody can go on: says who waits where. */
    private PtxFault stuck() {
        int exited = threads;
        Warp first = null;
        int firstLane = 0;
        int atBarrier = 0;
        int atWarpSync = 0;
        StringBuilder places = new StringBuilder();
        int[] waiters = new int[kernel.ops.length];
        for (Warp w : warps) {
            exited -= Integer.bitCount(w.live);
            for (int m = w.live; m != 0; m &= m - 1) {
                int lane = Integer.numberOfTrailingZeros(m);
                boolean barrier = kernel.ops[w.pc(lane)] instanceof BarrierOp;
                atBarrier += barrier ? 1 : 0;
                atWarpSync += barrier ? 0 : 1;
                waiters[w.pc(lane)]++;
                // The report is about a divergent warp where there is one.
                if (first == null || (w.parked() >>> lane & 1) != 0 && (first.parked() >>> firstLane & 1) == 0) {
                    first = w;
                    firstLane = lane;
                }
            }
        }
        for (int i = 0; i < waiters.length; i++) {
            if (waiters[i] > 0) {
                places.append("\n    ").append(waiters[i]).append(" threads wait at line ").append(kernel.ops[i].line)
                        .append(": ").append(kernel.ops[i].text);
            }
        }
        PtxFault.Kind kind = atWarpSync == 0 ? PtxFault.Kind.BARRIER
                : atBarrier == 0 ? PtxFault.Kind.WARP_SYNC : PtxFault.Kind.DEADLOCK;
        return first.fault(kind, "no thread can go on; " + exited + " of " + threads + " have exited" + places,
                kernel.ops[first.pc(firstLane)], firstLane);
    }
}
