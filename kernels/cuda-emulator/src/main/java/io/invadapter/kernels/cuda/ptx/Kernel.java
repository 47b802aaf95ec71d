package io.invadapter.kernels.cuda.ptx;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A kernel, decoded and ready to be launched any number of times, on any emulator. */
public final class Kernel {
    /** Where a parameter lies in the block of parameters that a launch takes. */
    public record Parameter(String name, int offset, int size, int align) { }

    /** A register row that holds the address of a variable of the module. */
    record Relocation(int row, String variable, long offset) { }

    private final String name;
    private final List<Parameter> parameters;
    private final int parameterBytes;
    final PtxModule module;
    final Op[] ops;
    final int words;
    final int longs;
    final int predicates;
    final int sharedBytes;
    final int localBytes;
    final int maxThreads;
    final boolean exactThreads;
    final Map<Integer, Integer> wordConstants;
    final Map<Integer, Long> longConstants;
    final List<Relocation> relocations;
    final Map<String, Integer> specialWords;
    final Map<String, Integer> specialLongs;
    /** The rows of %ctaid.x, .y and .z, or -1. */
    final int[] ctaRows;

    Kernel(PtxModule module, Source source, Op[] ops, Rows rows) {
        this.module = module;
        this.name = source.name;
        this.parameters = source.parameters.stream()
                .map(v -> new Parameter(v.name(), (int) v.offset(), (int) v.bytes(), v.align())).toList();
        this.parameterBytes = source.parameterBytes;
        this.ops = ops;
        this.words = source.words;
        this.longs = source.longs;
        this.predicates = source.predicates;
        this.sharedBytes = rows.dynamicSharedOffset();
        this.localBytes = (int) Variable.roundUp(source.localBytes, 16);
        this.maxThreads = source.maxThreads;
        this.exactThreads = source.exactThreads;
        this.wordConstants = rows.wordConstants();
        this.longConstants = rows.longConstants();
        this.relocations = rows.relocations();
        this.specialWords = rows.specialWords();
        this.specialLongs = rows.specialLongs();
        this.ctaRows = Stream.of("%ctaid.x", "%ctaid.y", "%ctaid.z")
                .mapToInt(n -> specialWords.getOrDefault(n, -1)).toArray();
    }

    public String name() {
        return name;
    }

    /** The parameters in order, each with its place in the packed block. */
    public List<Parameter> parameterLayout() {
        return parameters;
    }

    /** The size of the packed block of parameters. */
    public int parameterBytes() {
        return parameterBytes;
    }

    /** Bytes of shared memory that the kernel declares itself; dynamic shared memory comes on top. */
    public int staticSharedBytes() {
        return sharedBytes;
    }

    /** The most threads a CTA of this kernel may have ({@code __launch_bounds__}). */
    public int maxThreads() {
        return maxThreads;
    }

    @Override
    public String toString() {
        return "kernel " + name;
    }
}
