package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;
import java.util.Arrays;
import java.util.List;

/**
 * Launches of attention.cu, eaa_attention.cu, both for any head size, attention_wide.cu and attention_scalar.cu. Arrays are of the
 * library's type, softmax and sums float32. Every head size up to {@value #MOST_HEAD_SIZE} is served, in any array and in every
 * combination; with the 16-bit types the tensor cores do it up to 160, and beyond that for multiples of 8 in arrays aligned to 16
 * bytes, without causal mask and without a second source.
 */
public final class Attention {
    /** The widest head. */
    public static final int MOST_HEAD_SIZE = 512;

    private static final double LOG2_E = 1.4426950408889634;

    /** A kernel's compiled sizes: head size, warps, tiles of 16 rows per warp, keys per tile, as in the .cu files. */
    private record Variant(String suffix, int headSize, int warps, int tiles, int keys) {
        int rows() {
            return 16 * warps * tiles;
        }

        int threads() {
            return 32 * warps;
        }

        int sharedBytes() {
            return (rows() + 4 * keys) * headSize * 2;
        }

        /** Without .cu. */
        String file(String operator) {
            return PADDED.contains(this) ? operator + "_any" : operator;
        }

        String kernel(String operator) {
            return operator + "_" + suffix;
        }

        Grid grid(Shape shape) {
            return new Grid(Math.ceilDiv(shape.queries, rows()), shape.heads, shape.batch);
        }
    }

    /** For one head size each, in aligned arrays. */
    private static final List<Variant> EXACT = List.of(new Variant("40", 40, 4, 2, 64), new Variant("64", 64, 4, 2, 32),
            new Variant("80", 80, 4, 2, 32), new Variant("160", 160, 4, 1, 32));
    /** The same with half the rows per block. */
    private static final List<Variant> FEW_ROWS = List.of(new Variant("40_few", 40, 4, 1, 64),
            new Variant("64_few", 64, 4, 1, 32), new Variant("80_few", 80, 4, 1, 32), new Variant("160_few", 160, 2, 1, 32));
    /** For every head size up to their own, in any array. */
    private static final List<Variant> PADDED = List.of(new Variant("any_32", 32, 4, 2, 64),
            new Variant("any_96", 96, 4, 1, 64), new Variant("any_160", 160, 4, 1, 32));

    private static final String WIDE = "attention_wide_512";
    private static final int WIDE_ROWS = 32;
    private static final int WIDE_THREADS = 256;
    private static final int WIDE_SHARED_BYTES = 2 * 32 * MOST_HEAD_SIZE * 2 + 2 * 4 * 2048;

    private static final int[] SCALAR_HEAD_SIZES = {64, 160, MOST_HEAD_SIZE};
    private static final int SCALAR_THREADS = 128;
    private static final int SCALAR_ROWS = 16;
    private static final int SCALAR_KEYS = 32;
    /** Stable Diffusion 1.x at 512 x 512: twice the channels where maps are half as wide. */
    private static final int HEADS = 8;
    private static final int LEAST_CHANNELS = 320;
    private static final int MOST_CHANNELS = 1280;
    private static final int MOST_TOKENS = 4096;
    /** What stands for a source that is not there. */
    private static final Source NONE = new Source(new Strided(0, 0, 0, 0), new Strided(0, 0, 0, 0), 0, 0, 0, 0);
    /** In place of the number of the first source's keys, as in operand.cuh. */
    private static final int IN_OUT = 0;
    private static final int NO_FIRST_SOURCE = -1;

    private final KernelLibrary library;
    private final int multiprocessors;
    private final int sharedBytesPerBlock;

    /** On the library's driver. */
    public Attention(KernelLibrary library) {
        this(library, library.driver().multiprocessors(), library.driver().sharedBytesPerBlock());
    }

    /** As on a device with that many multiprocessors and that much shared memory for one block. */
    Attention(KernelLibrary library, int multiprocessors, int sharedBytesPerBlock) {
        this.library = library;
        this.multiprocessors = multiprocessors;
        this.sharedBytesPerBlock = sharedBytesPerBlock;
    }

    /**
     * Begins to load the kernels that attention over one source needs in a transformer of so many channels of Stable Diffusion 1.x at
     * 512 x 512, and its decoder's. All others are loaded when they are first used.
     */
    void prepare(int channels) {
        prepare("attention", channels);
        if (library.type() != DataType.FLOAT32) {
            library.prepare("attention_wide", WIDE);
        }
    }

    /** The same for attention over several sources where there are so many tokens. */
    void prepareSources(int tokens) {
        prepare("eaa_attention", (int) Math.min(MOST_CHANNELS, LEAST_CHANNELS * Math.sqrt((double) MOST_TOKENS / tokens)));
    }

    private void prepare(String operator, int channels) {
        int headSize = Math.clamp(channels / HEADS, 1, MOST_HEAD_SIZE);
        double narrower = (double) channels / LEAST_CHANNELS;
        int tokens = Math.max(1, (int) (MOST_TOKENS / (narrower * narrower)));
        Variant variant = variant(new Shape(2, HEADS, tokens, tokens, headSize, 1), headSize % 8 == 0);
        if (variant != null) {
            library.prepare(variant.file(operator), variant.kernel(operator));
        } else {
            library.prepare("attention_scalar", scalar(headSize));
        }
    }

    /**
     * The sizes of one attention.
     *
     * @param batch    batch rows
     * @param heads    heads
     * @param queries  tokens that ask
     * @param keys     tokens that are looked at
     * @param headSize values per head, 1 to {@value #MOST_HEAD_SIZE}
     * @param scale    what scores are multiplied with, usually 1 / sqrt(head size)
     */
    public record Shape(int batch, int heads, int queries, int keys, int headSize, float scale) {
        /**
         * Checks the sizes.
         *
         * @throws IllegalArgumentException when one is out of its range
         */
        public Shape {
            Check.range("batch", batch, 1, 65535);
            Check.range("heads", heads, 1, 65535);
            Check.positive("queries", queries);
            Check.positive("keys", keys);
            Check.range("head size", headSize, 1, MOST_HEAD_SIZE);
            if (!(scale > 0) || !Float.isFinite(scale)) {
                throw Check.wrong("scale", scale, "a positive number");
            }
        }

        /** The same over so many keys. */
        Shape withKeys(int number) {
            return new Shape(batch, heads, queries, number, headSize, scale);
        }

        private float scaleLog2() {
            return (float) (scale * LOG2_E);
        }
    }

    /**
     * {@code out = softmax(scale q k^T) v} per batch row and head.
     *
     * @param q      {@code [batch, queries, heads, head size]}
     * @param k      {@code [batch, keys, heads, head size]}
     * @param v      like {@code k}
     * @param out    like {@code q}; must not overlap the others
     * @param causal whether query i sees the keys 0 to i only; queries and keys must then be as many
     * @param stream where, null for the default stream
     * @throws IllegalArgumentException when sizes, addresses or strides do not fit
     */
    public void attention(Strided q, Strided k, Strided v, Strided out, Shape shape, boolean causal,
                          CudaDriver.Stream stream) {
        boolean aligned = check(q, k, v, out, shape);
        if (causal && shape.queries != shape.keys) {
            throw Check.wrong("keys", shape.keys, "as many as queries (" + shape.queries + ") with a causal mask");
        }
        Variant variant = variant(shape, aligned);
        if (variant != null) {
            Parameters parameters = operands(q, k, v, out);
            launch("attention", variant, shape, addSizes(parameters, shape).int32(causal ? 1 : 0), stream);
        } else if (library.type() != DataType.FLOAT32 && shape.headSize % 8 == 0 && aligned && !causal) {
            Grid grid = new Grid(Math.ceilDiv(shape.queries, WIDE_ROWS), shape.heads, shape.batch);
            CudaDriver.Function function = library.function("attention_wide", WIDE, WIDE_SHARED_BYTES);
            library.driver().launch(function, grid, WIDE_THREADS, WIDE_SHARED_BYTES, stream,
                    addSizes(operands(q, k, v, out), shape));
        } else {
            scalar(q, k, v, out, NONE, shape, shape.keys, causal, stream);
        }
    }

    /**
     * Keys and values that batch rows choose and weigh.
     *
     * @param k      {@code [batch, keys, heads, head size]}
     * @param v      like {@code k}
     * @param keys   tokens of each row
     * @param batch  how many rows there are; those chosen are checked against nothing else
     * @param rows   address of {@code int32 [B]}: the row that each batch row of the queries looks at; 0: each at its own
     * @param scales address of {@code float32 [B]}: what it counts for there; 0: 1. Where a scale is 0, {@code rows} and the keys
     *               are not read
     */
    public record Source(Strided k, Strided v, int keys, int batch, long rows, long scales) {
        /** Whether each batch row looks at its own keys, as they are. */
        boolean isPlain() {
            return rows == 0 && scales == 0;
        }

        private void addTo(Parameters parameters) {
            parameters.structure(() -> {
                k.addMembers(parameters);
                v.addMembers(parameters);
                parameters.int64(rows).int64(scales).int32(keys);
            });
        }
    }

    /**
     * {@code out = softmax(scale q k^T) v + lambda softmax(scale q k'^T) v'}, the embedded attention adapter. A batch row whose
     * lambda is 0 costs what {@link #attention} does and, at head sizes up to 160, gives the same bit for bit.
     *
     * @param q      {@code [batch, queries, heads, head size]}
     * @param k      {@code [batch, keys, heads, head size]}
     * @param v      like {@code k}
     * @param out    like {@code q}; must not overlap the others
     * @param second k', v' and lambda
     * @param shape  sizes
     * @param stream where, null for the default stream
     * @throws IllegalArgumentException when sizes, addresses or strides do not fit
     */
    public void eaaAttention(Strided q, Strided k, Strided v, Strided out, Source second, Shape shape,
                             CudaDriver.Stream stream) {
        boolean aligned = check(q, k, v, out, shape) & check(second, shape);
        two(q, k, v, out, second, shape, shape.keys, aligned, stream);
    }

    /**
     * {@code out += lambda softmax(scale q k^T) v}: what {@link #eaaAttention} adds to attention that was computed before, by
     * whomever. Rows whose lambda is 0 stay as they are, bit for bit.
     *
     * @param q      {@code [batch, queries, heads, head size]}
     * @param out    like {@code q}
     * @param source k, v and lambda
     * @param shape  sizes; its keys count for nothing
     * @param stream where, null for the default stream
     * @throws IllegalArgumentException when sizes, addresses or strides do not fit
     */
    public void addSource(Strided q, Strided out, Source source, Shape shape, CudaDriver.Stream stream) {
        boolean aligned = check(q, out, shape) & check(source, shape);
        two(q, NONE.k, NONE.v, out, source, shape, IN_OUT, aligned, stream);
    }

    /** {@code out = lambda softmax(scale q k^T) v}: see {@link #addSource}. */
    public void weighted(Strided q, Strided out, Source source, Shape shape, CudaDriver.Stream stream) {
        boolean aligned = check(q, out, shape) & check(source, shape);
        two(q, NONE.k, NONE.v, out, source, shape, NO_FIRST_SOURCE, aligned, stream);
    }

    private void two(Strided q, Strided k, Strided v, Strided out, Source second, Shape shape, int keys, boolean aligned,
                     CudaDriver.Stream stream) {
        Variant variant = variant(shape, aligned);
        if (variant != null) {
            Parameters parameters = operands(q, k, v, out);
            second.addTo(parameters);
            launch("eaa_attention", variant, shape, addSizes(parameters, shape, keys), stream);
        } else {
            scalar(q, k, v, out, second, shape, keys, false, stream);
        }
    }

    private static Parameters operands(Strided q, Strided k, Strided v, Strided out) {
        Parameters parameters = new Parameters();
        q.addTo(parameters);
        k.addTo(parameters);
        v.addTo(parameters);
        out.addTo(parameters);
        return parameters;
    }

    private static Parameters addSizes(Parameters parameters, Shape shape) {
        return addSizes(parameters, shape, shape.keys);
    }

    private static Parameters addSizes(Parameters parameters, Shape shape, int keys) {
        return parameters.int32(shape.queries).int32(keys).int32(shape.headSize).float32(shape.scaleLog2());
    }

    /** Checks the arrays of attention; tells whether all are aligned. */
    private boolean check(Strided q, Strided k, Strided v, Strided out, Shape shape) {
        boolean aligned = check(q, out, shape);
        k.check("k", library.type(), shape.batch, shape.keys, shape.heads, shape.headSize);
        v.check("v", library.type(), shape.batch, shape.keys, shape.heads, shape.headSize);
        return aligned && k.aligned(library) && v.aligned(library);
    }

    private boolean check(Strided q, Strided out, Shape shape) {
        q.check("q", library.type(), shape.batch, shape.queries, shape.heads, shape.headSize);
        out.check("out", library.type(), shape.batch, shape.queries, shape.heads, shape.headSize);
        if (shape.batch > 1 && out.batchStride() == 0) {
            throw Check.wrong("out batch stride", 0, "a place of its own for each batch row");
        }
        return q.aligned(library) && out.aligned(library);
    }

    private boolean check(Source source, Shape shape) {
        Check.positive("keys of a source", source.keys);
        Check.positive("rows of a source", source.batch);
        if (source.rows == 0 && source.batch != shape.batch) {
            throw Check.wrong("rows of a source", source.batch, "one for each batch row (" + shape.batch + ")");
        }
        Check.optional("rows", source.rows, Integer.BYTES);
        Check.optional("scales", source.scales, Float.BYTES);
        source.k.check("k of a source", library.type(), source.batch, source.keys, shape.heads, shape.headSize);
        source.v.check("v of a source", library.type(), source.batch, source.keys, shape.heads, shape.headSize);
        return source.k.aligned(library) && source.v.aligned(library);
    }

    /** The variant that is made for this head size, else the narrowest that holds it, else null. */
    private Variant variant(Shape shape, boolean aligned) {
        if (library.type() == DataType.FLOAT32) {
            return null;
        }
        for (int i = 0; aligned && i < EXACT.size(); i++) {
            Variant exact = EXACT.get(i);
            if (exact.headSize == shape.headSize) {
                Variant few = FEW_ROWS.get(i);
                return leavesIdle(exact.grid(shape)) && fitsTwice(few) ? few : exact;
            }
        }
        return PADDED.stream().filter(v -> shape.headSize <= v.headSize).findFirst().orElse(null);
    }

    /**
     * Whether half the rows per block would be done sooner: up to one and a half blocks per multiprocessor. One block alone has
     * one warp for each of its schedulers, which then waits for its own results; and above one block the busiest
     * multiprocessor gets two, where of blocks of half the size it gets three. From there on it gets the same, and
     * a block of many rows reads less for it.
     */
    private boolean leavesIdle(Grid grid) {
        return 2L * grid.x() * grid.y() * grid.z() <= 3L * multiprocessors;
    }

    /** Whether a multiprocessor holds two blocks at once: it has 1 KiB beside what one may ask for, and each takes 1 KiB more. */
    private boolean fitsTwice(Variant variant) {
        return 2 * (variant.sharedBytes() + 1024) <= sharedBytesPerBlock + 1024;
    }

    private void scalar(Strided q, Strided k, Strided v, Strided out, Source second, Shape shape, int keys, boolean causal,
                        CudaDriver.Stream stream) {
        // Rows are an odd number of 16-byte pieces: see attention_scalar.cu.
        int rowBytes = (Math.ceilDiv(shape.headSize, 4) | 1) * 16;
        int sharedBytes = (SCALAR_ROWS + SCALAR_KEYS) * rowBytes + SCALAR_ROWS * SCALAR_KEYS * Float.BYTES;
        Parameters parameters = operands(q, k, v, out);
        second.addTo(parameters);
        Grid grid = new Grid(Math.ceilDiv(shape.queries, SCALAR_ROWS), shape.heads, shape.batch);
        CudaDriver.Function function = library.function("attention_scalar", scalar(shape.headSize), sharedBytes);
        library.driver().launch(function, grid, SCALAR_THREADS, sharedBytes, stream,
                addSizes(parameters, shape, keys).int32(causal ? 1 : 0));
    }

    /** The kernel of attention_scalar.cu for a head size; for the 16-bit types, which use it seldom, there is one. */
    private String scalar(int headSize) {
        int most = library.type() != DataType.FLOAT32 ? MOST_HEAD_SIZE
                : Arrays.stream(SCALAR_HEAD_SIZES).filter(size -> headSize <= size).findFirst().orElseThrow();
        return "attention_scalar_" + most;
    }

    private void launch(String operator, Variant variant, Shape shape, Parameters parameters, CudaDriver.Stream stream) {
        CudaDriver.Function function = library.function(variant.file(operator), variant.kernel(operator), variant.sharedBytes());
        library.driver().launch(function, variant.grid(shape), variant.threads(), variant.sharedBytes(), stream, parameters);
    }
}
