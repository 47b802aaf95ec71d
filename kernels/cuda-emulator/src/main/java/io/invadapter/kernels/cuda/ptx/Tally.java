package io.invadapter.kernels.cuda.ptx;

/** What one worker counts for one instruction; the sums over workers make an {@link InstructionCounters}. */
final class Tally {
    private static final int SECTOR_SHIFT = 5;
    private static final int BANKS = 32;

    long executed;
    long lanes;
    long requests;
    long bytes;
    long sectors;
    long idealSectors;
    int worstSectors;
    int worstIdealSectors;
    long sharedRequests;
    long sharedBytes;
    long wavefronts;
    long conflicts;
    int worstConflict;

    /** Where the instruction last went: the next access most likely goes there too. */
    Allocation lastAllocation;

    /** Room for the analysis of one request; one for each worker. */
    static final class Scratch {
        final long[] sector = new long[Warp.LANES];
        final int[] used = new int[Warp.LANES];
        final int[] bankCount = new int[BANKS];
        final int[] bankUnits = new int[BANKS * Warp.LANES];
    }

    /** Counts a request to global memory: addresses in {@code w.address}, {@code size} bytes for each lane. */
    void global(Warp w, int mask, int size) {
        long[] sector = w.cta.scratch.sector;
        int[] used = w.cta.scratch.used;
        int n = 0;
        int last = -1;
        for (int m = mask; m != 0; m &= m - 1) {
            long address = w.address[Integer.numberOfTrailingZeros(m)];
            long s = address >>> SECTOR_SHIFT;
            int bits = (int) ((1L << size) - 1) << (int) (address & 31);
            if (last < 0 || sector[last] != s) {
                last = 0;
                while (last < n && sector[last] != s) {
                    last++;
                }
                if (last == n) {
                    sector[n] = s;
                    used[n++] = 0;
                }
            }
            used[last] |= bits;
        }
        int distinct = 0;
        for (int i = 0; i < n; i++) {
            distinct += Integer.bitCount(used[i]);
        }
        int ideal = distinct + 31 >> SECTOR_SHIFT;
        requests++;
        bytes += (long) Integer.bitCount(mask) * size;
        sectors += n;
        idealSectors += ideal;
        if (worstIdealSectors == 0 || (long) n * worstIdealSectors > (long) worstSectors * ideal) {
            worstSectors = n;
            worstIdealSectors = ideal;
        }
    }

    /**
     * Counts a request to shared memory, offsets in {@code w.offset}. Wide accesses go in phases of as many lanes as
     * fill 128 bytes; each phase takes as many wavefronts as the busiest bank has different words.
     */
    void shared(Warp w, int mask, int size) {
        int lanesPerPhase = size <= 4 ? 32 : 128 / size;
        int phaseMask = (int) ((1L << lanesPerPhase) - 1);
        int extra = 0;
        for (int first = 0; first < Warp.LANES; first += lanesPerPhase) {
            int m = mask & phaseMask << first;
            if (m != 0) {
                int passes = passes(w, m, size);
                wavefronts += passes;
                extra += passes - 1;
            }
        }
        sharedRequests++;
        sharedBytes += (long) Integer.bitCount(mask) * size;
        conflicts += extra;
        worstConflict = Math.max(worstConflict, extra);
    }

    private static int passes(Warp w, int mask, int size) {
        int[] bankCount = w.cta.scratch.bankCount;
        int[] bankUnits = w.cta.scratch.bankUnits;
        // Accesses are aligned, so those wider than a word meet or miss each other in whole groups of banks.
        int shift = Math.max(2, Integer.numberOfTrailingZeros(size));
        int groups = BANKS * 4 >> shift;
        java.util.Arrays.fill(bankCount, 0, groups, 0);
        int worst = 1;
        for (int m = mask; m != 0; m &= m - 1) {
            int unit = w.offset[Integer.numberOfTrailingZeros(m)] >> shift;
            int group = unit & groups - 1;
            int count = bankCount[group];
            int i = 0;
            while (i < count && bankUnits[group * Warp.LANES + i] != unit) {
                i++;
            }
            if (i == count) {
                bankUnits[group * Warp.LANES + count] = unit;
                bankCount[group] = count + 1;
                worst = Math.max(worst, count + 1);
            }
        }
        return worst;
    }

    void add(Tally t) {
        executed += t.executed;
        lanes += t.lanes;
        requests += t.requests;
        bytes += t.bytes;
        sectors += t.sectors;
        idealSectors += t.idealSectors;
        if (t.worstIdealSectors != 0 && (worstIdealSectors == 0
                || (long) t.worstSectors * worstIdealSectors > (long) worstSectors * t.worstIdealSectors)) {
            worstSectors = t.worstSectors;
            worstIdealSectors = t.worstIdealSectors;
        }
        sharedRequests += t.sharedRequests;
        sharedBytes += t.sharedBytes;
        wavefronts += t.wavefronts;
        conflicts += t.conflicts;
        worstConflict = Math.max(worstConflict, t.worstConflict);
    }
}
