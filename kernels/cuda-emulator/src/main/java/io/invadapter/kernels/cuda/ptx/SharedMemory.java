package io.invadapter.kernels.cuda.ptx;

import java.util.Arrays;

/**
 * The shared memory of the CTA that a worker runs, and the checker of its accesses.
 *
 * <p>Order is tracked with vector clocks, one component for each warp: a warp's own component grows with each barrier
 * and each {@code bar.warp.sync} that it takes part in, and a barrier makes all participants know each other's. Each word
 * remembers the last write (warp, lane, clock) and, for each warp, the last read. Words that are accessed in parts
 * remember the same for each byte.
 */
final class SharedMemory {
    /** Lane fields of a read stamp that stand for more than one lane. */
    private static final int SEVERAL = 32;
    private static final int COLLECTIVE = 33;

    private static final int LANE_BITS = 6;
    private static final int WARP_SHIFT = LANE_BITS;
    private static final int STRONG_BIT = 1 << 11;
    private static final int CLOCK_SHIFT = 12;
    static final int MAX_CLOCK = (1 << 32 - CLOCK_SHIFT - 1) - 1;
    /** A write stamp that says: look at the bytes. */
    private static final int SPLIT = -1;

    final byte[] data;
    final int bytes;
    private final byte[] initialized;
    private final int words;
    private final int warps;
    private final int[] writer;
    private final int[] readers;
    private final int[] pending;
    private int[] byteWriter;
    private int[] byteReaders;
    private boolean anySplit;
    private final boolean checked;

    SharedMemory(int bytes, int warps, boolean checked) {
        this.checked = checked;
        this.bytes = bytes;
        this.warps = warps;
        this.words = bytes + 3 >> 2;
        // Padded so that a 16-byte access to the shadow stays inside.
        int padded = (int) Variable.roundUp(bytes, 16);
        this.data = new byte[padded];
        this.initialized = new byte[padded];
        this.writer = new int[checked ? words : 0];
        this.readers = new int[checked ? words * warps : 0];
        this.pending = new int[checked ? words : 0];
    }

    /** Makes it never written, for the next CTA. */
    void reset() {
        Arrays.fill(initialized, (byte) 0);
        Arrays.fill(writer, 0);
        Arrays.fill(readers, 0);
        Arrays.fill(pending, 0);
        if (anySplit) {
            Arrays.fill(byteWriter, 0);
            Arrays.fill(byteReaders, 0);
            anySplit = false;
        }
    }

    /** Checks and counts the accesses of the lanes in {@code mask} to the offsets in {@code w.address}. */
    void resolve(Op op, Warp w, int mask, int size, int access) {
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            int offset = place(op, w, lane, size);
            w.memory[lane] = data;
            w.offset[lane] = offset;
        }
        if (!checked) {
            resolveUnchecked(op, w, mask, size, access);
            return;
        }
        w.cta.tallies[op.index].shared(w, mask, size);
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            int offset = w.offset[lane];
            if ((access & Access.READ) != 0 && !Bytes.allHave(initialized, offset, size, 1)) {
                unfinished(op, w, lane, offset, size);
                throw w.fault(PtxFault.Kind.UNINITIALIZED, "read of " + describe(offset, size), op, lane);
            }
            if ((access & Access.WRITE) != 0) {
                noteWrite(op, w, lane, offset, size, access, mask);
                Bytes.mark(initialized, offset, size, 1);
            } else {
                noteRead(op, w, lane, offset, size, access);
            }
        }
    }

    private void resolveUnchecked(Op op, Warp w, int mask, int size, int access) {
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            int offset = w.offset[lane];
            if ((access & Access.READ) != 0 && !Bytes.allHave(initialized, offset, size, 1)) {
                throw w.fault(PtxFault.Kind.UNINITIALIZED, "read of " + describe(offset, size), op, lane);
            }
            if ((access & Access.WRITE) != 0) {
                Bytes.mark(initialized, offset, size, 1);
            }
        }
    }

    private int place(Op op, Warp w, int lane, int size) {
        long address = w.address[lane];
        if ((address & size - 1) != 0) {
            throw w.fault(PtxFault.Kind.MISALIGNED, describe(address, size), op, lane);
        }
        if (address < 0 || address + size > bytes) {
            throw w.fault(PtxFault.Kind.OUT_OF_BOUNDS, describe(address, size) + " (the CTA has " + bytes + ")", op,
                    lane);
        }
        return (int) address;
    }

    private static String describe(long offset, int size) {
        return size + " bytes of shared memory at offset " + offset;
    }

    // ---- cp.async ----------------------------------------------------------------------------------------------

    /** The destinations of {@code cp.async} are checked like stores and belong to the copy until it is waited for. */
    void beginAsync(Op op, Warp w, int mask, int size) {
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            w.offset[lane] = place(op, w, lane, size);
        }
        if (!checked) {
            return;
        }
        w.cta.tallies[op.index].shared(w, mask, size);
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            int offset = w.offset[lane];
            noteWrite(op, w, lane, offset, size, 0, 0);
            Arrays.fill(pending, offset >> 2, offset + size >> 2, w.index * Warp.LANES + lane + 1);
        }
    }

    /** The copy has arrived: its bytes become a write of the lane that waited. */
    void finishAsync(Warp w, int lane, int offset, byte[] source, int from, int size) {
        System.arraycopy(source, from, data, offset, size);
        Bytes.mark(initialized, offset, size, 1);
        if (!checked) {
            return;
        }
        int stamp = stamp(w, lane, 0);
        for (int word = offset >> 2; word < offset + size >> 2; word++) {
            pending[word] = 0;
            if (writer[word] == SPLIT) {
                Arrays.fill(byteWriter, word * 4, word * 4 + 4, stamp);
            } else {
                writer[word] = stamp;
            }
        }
    }

    private void unfinished(Op op, Warp w, int lane, int offset, int size) {
        for (int word = offset >> 2; word <= offset + size - 1 >> 2; word++) {
            int owner = pending[word];
            if (owner != 0) {
                throw w.fault(PtxFault.Kind.ASYNC_PENDING, "access to " + describe(offset, size)
                        + " while a cp.async of thread " + w.cta.block.at(owner - 1) + " into it is not waited for",
                        op, lane);
            }
        }
    }

    // ---- races -------------------------------------------------------------------------------------------------

    private static int stamp(Warp w, int lane, int access) {
        return w.clock[w.index] << CLOCK_SHIFT | ((access & Access.STRONG) != 0 ? STRONG_BIT : 0)
                | w.index << WARP_SHIFT | lane;
    }

    private void noteRead(Op op, Warp w, int lane, int offset, int size, int access) {
        boolean strong = (access & Access.STRONG) != 0;
        int who = (access & Access.COLLECTIVE) != 0 ? COLLECTIVE : lane;
        int mine = w.clock[w.index] << LANE_BITS | who;
        int base = w.index * words;
        for (int word = offset >> 2; word <= offset + size - 1 >> 2; word++) {
            if (pending[word] != 0) {
                unfinished(op, w, lane, offset, size);
            }
            int stamp = writer[word];
            if (size < 4 && stamp != SPLIT) {
                split(word);
                stamp = SPLIT;
            }
            if (stamp == SPLIT) {
                int from = Math.max(offset, word << 2);
                int to = Math.min(offset + size, (word << 2) + 4);
                for (int b = from; b < to; b++) {
                    checkAfterWrite(byteWriter[b], op, w, lane, offset, size, strong, "read", 0);
                    int i = w.index * words * 4 + b;
                    byteReaders[i] = strong ? byteReaders[i] : merge(byteReaders[i], mine);
                }
            } else {
                if (stamp != 0) {
                    checkAfterWrite(stamp, op, w, lane, offset, size, strong, "read", 0);
                }
                if (!strong) {
                    int old = readers[base + word];
                    if (old != mine) {
                        readers[base + word] = merge(old, mine);
                    }
                }
            }
        }
    }

    /** The read stamp of a warp after one more read in the same or a later interval. */
    private static int merge(int old, int mine) {
        if (old >>> LANE_BITS != mine >>> LANE_BITS || old == mine || (old & 63) == COLLECTIVE) {
            return mine;
        }
        return (mine & 63) == COLLECTIVE ? old : mine & ~63 | SEVERAL;
    }

    private void noteWrite(Op op, Warp w, int lane, int offset, int size, int access, int instructionMask) {
        boolean strong = (access & Access.STRONG) != 0;
        int mine = stamp(w, lane, access);
        for (int word = offset >> 2; word <= offset + size - 1 >> 2; word++) {
            if (pending[word] != 0) {
                unfinished(op, w, lane, offset, size);
            }
            int stamp = writer[word];
            if (size < 4 && stamp != SPLIT) {
                split(word);
                stamp = SPLIT;
            }
            if (stamp == SPLIT) {
                int from = Math.max(offset, word << 2);
                int to = Math.min(offset + size, (word << 2) + 4);
                for (int b = from; b < to; b++) {
                    checkAfterWrite(byteWriter[b], op, w, lane, offset, size, strong, "write", instructionMask);
                    for (int v = 0; v < warps; v++) {
                        checkAfterRead(byteReaders[v * words * 4 + b], v, op, w, lane, offset, size);
                    }
                    byteWriter[b] = mine;
                }
            } else {
                if (stamp != 0) {
                    checkAfterWrite(stamp, op, w, lane, offset, size, strong, "write", instructionMask);
                }
                for (int v = 0, i = word; v < warps; v++, i += words) {
                    int read = readers[i];
                    if (read != 0) {
                        checkAfterRead(read, v, op, w, lane, offset, size);
                    }
                }
                writer[word] = mine;
            }
        }
    }

    private void checkAfterWrite(int stamp, Op op, Warp w, int lane, int offset, int size, boolean strong, String what,
                                 int instructionMask) {
        if (stamp == 0 || strong && (stamp & STRONG_BIT) != 0) {
            return;
        }
        int warp = stamp >> WARP_SHIFT & 31;
        int clock = stamp >>> CLOCK_SHIFT;
        int writerLane = stamp & 31;
        if (warp == w.index) {
            if (clock != w.clock[warp] || writerLane == lane
                    || sameValue(op, w, lane, writerLane, offset, size, instructionMask)) {
                return;
            }
        } else if (clock <= w.clock[warp]) {
            return;
        }
        throw race(what, "write", warp * Warp.LANES + writerLane, op, w, lane, offset, size);
    }

    private void checkAfterRead(int stamp, int warp, Op op, Warp w, int lane, int offset, int size) {
        if (stamp == 0) {
            return;
        }
        int clock = stamp >>> LANE_BITS;
        int reader = stamp & 63;
        if (warp == w.index) {
            if (clock != w.clock[warp] || reader == lane || reader == COLLECTIVE) {
                return;
            }
        } else if (clock <= w.clock[warp]) {
            return;
        }
        throw race("write", "read", warp * Warp.LANES + (reader < SEVERAL ? reader : 0), op, w, lane, offset, size);
    }

    private PtxFault race(String what, String before, int other, Op op, Warp w, int lane, int offset, int size) {
        return w.fault(PtxFault.Kind.SHARED_RACE, what + " of " + describe(offset, size) + " after a " + before
                + " by thread " + w.cta.block.at(other) + (other >> 5 == w.index ? " (same warp)" : " (another warp)")
                + " with no barrier in between", op, lane);
    }

    /** Lanes may store one value to one place with one instruction: whichever wins, the outcome is the same. */
    private static boolean sameValue(Op op, Warp w, int lane, int other, int offset, int size, int instructionMask) {
        if ((instructionMask >>> other & 1) == 0 || w.offset[other] != offset) {
            return false;
        }
        return op.storesSame(w, lane, other);
    }

    private void split(int word) {
        if (byteWriter == null) {
            byteWriter = new int[words * 4];
            byteReaders = new int[words * 4 * warps];
        }
        anySplit = true;
        Arrays.fill(byteWriter, word * 4, word * 4 + 4, writer[word]);
        for (int v = 0; v < warps; v++) {
            int at = v * words * 4 + word * 4;
            Arrays.fill(byteReaders, at, at + 4, readers[v * words + word]);
        }
        writer[word] = SPLIT;
    }
}
