package io.invadapter.kernels.cuda.ptx;

/** An instruction that waits until all lanes it names have arrived at it, and then runs once for all of them. */
abstract class SyncOp extends Op {
    /** The lanes that {@code lane} wants to meet; lanes that have exited are not waited for. */
    abstract int members(Warp w, int lane);

    /** Runs for lanes that have met; returns where they go on, or {@link #RESCHEDULE} when they do not yet. */
    int meet(Warp w, int mask, int pc) {
        run(w, mask);
        return pc + 1;
    }

    @Override
    int step(Warp w, int mask, int active, int pc) {
        if (active == 0) {
            return pc + 1;
        }
        int members = uniformMembers(w, active);
        if (active == mask && members == (active | members & ~w.live) && members != 0) {
            return meet(w, active, pc);
        }
        w.resume(mask & ~active, pc + 1);
        w.park(active, pc);
        release(w, pc);
        return RESCHEDULE;
    }

    /** The member mask that all these lanes name, or 0 when they differ. */
    int uniformMembers(Warp w, int active) {
        int members = checkedMembers(w, Integer.numberOfTrailingZeros(active));
        for (int m = active & active - 1; m != 0; m &= m - 1) {
            if (checkedMembers(w, Integer.numberOfTrailingZeros(m)) != members) {
                return 0;
            }
        }
        return members;
    }

    private int checkedMembers(Warp w, int lane) {
        int members = members(w, lane);
        if ((members >>> lane & 1) == 0) {
            throw w.fault(PtxFault.Kind.WARP_SYNC, "the executing lane " + lane + " is not in the member mask 0x"
                    + Integer.toHexString(members), this, lane);
        }
        return members;
    }

    /** Lets the parked lanes meet whose partners are all here; returns whether there were any. */
    boolean release(Warp w, int pc) {
        boolean any = false;
        int waiting = w.parkedAt(pc);
        while (waiting != 0) {
            int lane = Integer.numberOfTrailingZeros(waiting);
            int members = members(w, lane) & w.live;
            int here = 0;
            for (int m = waiting & members; m != 0; m &= m - 1) {
                int other = Integer.numberOfTrailingZeros(m);
                if ((members(w, other) & w.live) == members) {
                    here |= 1 << other;
                }
            }
            if (here == members) {
                w.unpark(here);
                int next = meet(w, here, pc);
                if (next != RESCHEDULE) {
                    w.resume(here, next);
                }
                any = true;
            }
            waiting &= ~here;
        }
        return any;
    }
}
