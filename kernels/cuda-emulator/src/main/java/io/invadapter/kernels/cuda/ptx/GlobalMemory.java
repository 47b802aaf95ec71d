package io.invadapter.kernels.cuda.ptx;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The allocations of a device, with gaps between them that belong to nobody. Addresses are never used again. */
final class GlobalMemory {
    private static final long FIRST = 0x2_0000_0000L;
    private static final int ALIGNMENT = 512;
    private static final int GUARD = 1 << 16;

    private final boolean blank;
    private volatile Allocation[] allocations = new Allocation[0];
    private long top = FIRST;
    /** What the current launch accessed. */
    private final List<Allocation> touched = new ArrayList<>();

    /** @param blank allocations have an address and a size and no content */
    GlobalMemory(boolean blank) {
        this.blank = blank;
    }

    synchronized Allocation allocate(long bytes, boolean readOnly) {
        if (bytes < 0 || bytes > Integer.MAX_VALUE - 64) {
            throw new PtxException("an allocation of " + bytes + " bytes: the emulator's limit is 2 GiB each");
        }
        // The array is padded so that a 16-byte shadow access at its end stays inside.
        byte[] data = new byte[blank ? 0 : (int) Variable.roundUp(bytes, 16)];
        Allocation a = new Allocation(top, (int) bytes, readOnly, data);
        top = Variable.roundUp(top + bytes + GUARD, ALIGNMENT);
        Allocation[] more = Arrays.copyOf(allocations, allocations.length + 1);
        more[more.length - 1] = a;
        allocations = more;
        return a;
    }

    synchronized void free(long address) {
        Allocation a = nearest(address);
        if (a == null || a.base != address || a.freed) {
            throw new PtxException("free of 0x" + Long.toHexString(address) + ": "
                    + (a != null && a.base == address ? "already freed" : "not the start of an allocation"));
        }
        Allocation[] all = allocations.clone();
        Allocation tombstone = new Allocation(a.base, a.bytes, a.readOnly, new byte[0]);
        tombstone.freed = true;
        for (int i = 0; i < all.length; i++) {
            if (all[i] == a) {
                all[i] = tombstone;
            }
        }
        a.freed = true;
        allocations = all;
    }

    /** The allocation with the greatest start not above {@code address}, freed or not, or null. */
    Allocation nearest(long address) {
        Allocation[] all = allocations;
        int low = 0;
        int high = all.length;
        while (low < high) {
            int middle = low + high >>> 1;
            if (all[middle].base <= address) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low == 0 ? null : all[low - 1];
    }

    /** Notes that the current launch accessed it. */
    private void touch(Allocation a) {
        if (!a.touched) {
            synchronized (touched) {
                if (!a.touched) {
                    a.touched = true;
                    touched.add(a);
                }
            }
        }
    }

    /** Forgets what a launch did; adds its unique loaded and stored bytes to {@code totals[0]} and {@code [1]}. */
    void endLaunch(long[] totals) {
        touched.forEach(a -> a.endLaunch(totals));
        touched.clear();
    }

    /** What is at an address, for messages. */
    String describe(long address, int size) {
        Allocation a = nearest(address);
        String where = size + " bytes at 0x" + Long.toHexString(address);
        if (a == null) {
            return where + ", below every allocation";
        }
        return where + ", offset " + (address - a.base) + " of the " + (a.freed ? "freed " : "") + a.bytes
                + " bytes allocated at 0x" + Long.toHexString(a.base);
    }

    /**
     * Checks and counts an access of the lanes in {@code mask} to {@code w.address}, and leaves where it goes in
     * {@code w.memory} and {@code w.offset}.
     */
    void resolve(Op op, Warp w, int mask, int size, int access) {
        Tally tally = w.cta.tallies[op.index];
        Allocation a = tally.lastAllocation;
        int cta = w.cta.number;
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            long address = w.address[lane];
            if ((address & size - 1) != 0) {
                throw w.fault(PtxFault.Kind.MISALIGNED, describe(address, size), op, lane);
            }
            if (a == null || a.freed || !a.contains(address, size)) {
                a = find(op, w, lane, address, size);
                tally.lastAllocation = a;
            }
            int offset = (int) (address - a.base);
            w.memory[lane] = a.data;
            w.offset[lane] = offset;
            if (!w.cta.checked) {
                resolveUnchecked(a, op, w, lane, offset, size, access);
                continue;
            }
            if ((access & Access.READ) != 0) {
                checkLoad(a, op, w, lane, offset, size, access);
            }
            if ((access & Access.WRITE) != 0) {
                if (a.readOnly) {
                    throw w.fault(PtxFault.Kind.READ_ONLY, describe(address, size), op, lane);
                }
                if ((access & Access.STRONG) == 0) {
                    int other = a.store(offset, size, cta);
                    if (other != 0) {
                        throw w.fault(PtxFault.Kind.GLOBAL_RACE, "store to " + describe(address, size)
                                + ", which CTA " + w.cta.grid.at(other - 1) + " stored to in this launch", op, lane);
                    }
                }
                Bytes.mark(a.shadow, offset, size, Allocation.INITIALIZED | Allocation.STORED);
            }
        }
        if (!w.cta.checked) {
            return;
        }
        if ((access & Access.STRONG) != 0) {
            w.cta.synchronizesGlobally = true;
        }
        tally.global(w, mask, size);
    }

    private void resolveUnchecked(Allocation a, Op op, Warp w, int lane, int offset, int size, int access) {
        if ((access & Access.READ) != 0 && !Bytes.allHave(a.shadow, offset, size, Allocation.INITIALIZED)) {
            throw w.fault(PtxFault.Kind.UNINITIALIZED, "read of " + describe(a.base + offset, size), op, lane);
        }
        if ((access & Access.WRITE) != 0) {
            if (a.readOnly) {
                throw w.fault(PtxFault.Kind.READ_ONLY, describe(a.base + offset, size), op, lane);
            }
            Bytes.mark(a.shadow, offset, size, Allocation.INITIALIZED);
        }
    }

    private Allocation find(Op op, Warp w, int lane, long address, int size) {
        Allocation a = nearest(address);
        if (a == null || !a.contains(address, size)) {
            throw w.fault(PtxFault.Kind.OUT_OF_BOUNDS, describe(address, size), op, lane);
        }
        if (a.freed) {
            throw w.fault(PtxFault.Kind.USE_AFTER_FREE, describe(address, size), op, lane);
        }
        if (w.cta.checked) {
            touch(a);
        }
        return a;
    }

    private void checkLoad(Allocation a, Op op, Warp w, int lane, int offset, int size, int access) {
        if (!Bytes.allHave(a.shadow, offset, size, Allocation.INITIALIZED | Allocation.LOADED)) {
            if (!Bytes.allHave(a.shadow, offset, size, Allocation.INITIALIZED)) {
                throw w.fault(PtxFault.Kind.UNINITIALIZED, "read of " + describe(a.base + offset, size), op, lane);
            }
            Bytes.mark(a.shadow, offset, size, Allocation.LOADED);
        }
        // Through an atomic or a fence a CTA may have learnt that the others are done.
        boolean ordered = (access & Access.STRONG) != 0 || w.cta.synchronizesGlobally;
        if ((access & Access.NON_COHERENT) != 0) {
            int writer = a.foreignWriter(offset, size, -1);
            if (writer != 0) {
                throw w.fault(PtxFault.Kind.GLOBAL_RACE, "non-coherent read of " + describe(a.base + offset, size)
                        + ", which CTA " + w.cta.grid.at(writer - 1) + " stored to in this launch", op, lane);
            }
        } else if (!ordered) {
            int writer = a.foreignWriter(offset, size, w.cta.number);
            if (writer != 0) {
                throw w.fault(PtxFault.Kind.GLOBAL_RACE, "read of " + describe(a.base + offset, size)
                        + ", which CTA " + w.cta.grid.at(writer - 1) + " stored to in this launch", op, lane);
            }
        }
    }
}
