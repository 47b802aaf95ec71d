package io.invadapter.kernels.cuda.ptx;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToLongFunction;

/** What a launch did, in the currency of performance. Sums are over all CTAs. */
public final class Counters {
    private final Kernel kernel;
    private final long laneInstructions;
    /** Of each worker; null once they are added up. */
    private List<Tally[]> tallies;
    private List<InstructionCounters> instructions;
    private final long uniqueLoadedBytes;
    private final long uniqueStoredBytes;

    Counters(Kernel kernel, List<Tally[]> tallies, long uniqueLoadedBytes, long uniqueStoredBytes) {
        this.kernel = kernel;
        this.tallies = tallies;
        this.uniqueLoadedBytes = uniqueLoadedBytes;
        this.uniqueStoredBytes = uniqueStoredBytes;
        long lanes = 0;
        for (Tally[] worker : tallies) {
            for (Tally t : worker) {
                lanes += t.lanes;
            }
        }
        this.laneInstructions = lanes;
    }

    /** Added up when somebody asks: few launches of a model are asked about. */
    private synchronized List<InstructionCounters> instructions() {
        if (instructions != null) {
            return instructions;
        }
        List<InstructionCounters> all = new ArrayList<>();
        for (Op op : kernel.ops) {
            Tally sum = new Tally();
            for (Tally[] t : tallies) {
                sum.add(t[op.index]);
            }
            all.add(new InstructionCounters(op.line, op.text, (op.access & Access.READ) != 0,
                    (op.access & Access.WRITE) != 0, sum.executed, sum.lanes, sum.requests, sum.bytes, sum.sectors,
                    sum.idealSectors, sum.worstSectors, sum.worstIdealSectors, sum.sharedRequests, sum.sharedBytes,
                    sum.wavefronts, sum.conflicts, sum.worstConflict));
        }
        tallies = null;
        instructions = all;
        return all;
    }

    /** Each instruction of the kernel in the order of the PTX text. */
    public List<InstructionCounters> perInstruction() {
        return List.copyOf(instructions());
    }

    /** Instructions executed by warps. */
    public long warpInstructions() {
        return sum(InstructionCounters::executed);
    }

    /** Instructions executed by threads. */
    public long laneInstructions() {
        return laneInstructions;
    }

    /** Bytes that threads loaded from global memory, {@code cp.async} included; bytes loaded twice count twice. */
    public long globalLoadedBytes() {
        return sum(i -> i.loads() ? i.globalBytes() : 0);
    }

    /** Bytes that threads stored to global memory. */
    public long globalStoredBytes() {
        return sum(i -> i.stores() ? i.globalBytes() : 0);
    }

    /** 32-byte sectors that requests of warps loaded from global memory: what the second-level cache delivers. */
    public long globalLoadedSectors() {
        return sum(i -> i.loads() ? i.sectors() : 0);
    }

    /** 32-byte sectors that requests of warps stored to global memory. */
    public long globalStoredSectors() {
        return sum(i -> i.stores() ? i.sectors() : 0);
    }

    /** Different bytes of global memory that were loaded: the least that must come from DRAM. */
    public long uniqueLoadedBytes() {
        return uniqueLoadedBytes;
    }

    /** Different bytes of global memory that were stored: the least that must go to DRAM. */
    public long uniqueStoredBytes() {
        return uniqueStoredBytes;
    }

    /** The least sectors that the requests could have needed, divided by those that they did need; 1 is perfect. */
    public double coalescing() {
        long sectors = sum(InstructionCounters::sectors);
        return sectors == 0 ? 1 : (double) sum(InstructionCounters::idealSectors) / sectors;
    }

    /** The instruction whose requests to global memory waste most: greatest number of sectors above the least. */
    public InstructionCounters worstCoalesced() {
        return instructions().stream().max(Comparator.comparingLong(i -> i.sectors() - i.idealSectors())).orElseThrow();
    }

    /** Passes over the shared memory. */
    public long sharedWavefronts() {
        return sum(InstructionCounters::sharedWavefronts);
    }

    /** Passes over the shared memory beyond those that would do without bank conflicts. */
    public long bankConflicts() {
        return sum(InstructionCounters::bankConflicts);
    }

    /** The instruction with most bank conflicts. */
    public InstructionCounters worstBankConflicts() {
        return instructions().stream().max(Comparator.comparingLong(InstructionCounters::bankConflicts)).orElseThrow();
    }

    /** {@code mma} instructions executed by warps. */
    public long mmaInstructions() {
        return count("mma");
    }

    /** Barriers executed by warps. */
    public long barriers() {
        return count("bar") + count("barrier");
    }

    /** How often warps executed an instruction of that name, such as {@code shfl}. */
    public long count(String opcode) {
        return sum(i -> i.opcode().equals(opcode) ? i.executed() : 0);
    }

    private long sum(ToLongFunction<InstructionCounters> value) {
        return instructions().stream().mapToLong(value).sum();
    }

    @Override
    public String toString() {
        return String.format("%s: %d warp instructions (%d mma, %d barriers); global %d B loaded (%d unique, %d sectors),"
                + " %d B stored (%d unique, %d sectors), coalescing %.2f; shared %d wavefronts, %d bank conflicts",
                kernel.name(), warpInstructions(), mmaInstructions(), barriers(), globalLoadedBytes(), uniqueLoadedBytes,
                globalLoadedSectors(), globalStoredBytes(), uniqueStoredBytes, globalStoredSectors(), coalescing(),
                sharedWavefronts(), bankConflicts());
    }
}
