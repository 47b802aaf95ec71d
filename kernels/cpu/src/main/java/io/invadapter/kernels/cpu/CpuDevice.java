package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.TensorPool;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ForkJoinPool;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.javacpp.Pointer;

/** All cores of this machine, through oneDNN, in float32 or bfloat16. */
final class CpuDevice implements Device {
    /** Workspaces for what is converted to float32 to compute with. */
    static final int WEIGHTS = 2;
    static final int INPUT = 3;
    static final int OPERAND = 4;
    static final int OUTPUT = 5;
    /** Rows that are converted to float32 at a time. */
    private static final int ROWS_AT_ONCE = 1024;

    private final Precision precision;
    private final Arguments arguments;
    private final String description;
    /** The device that was opened; this one, or that of which this is a view. All that follows is shared with it. */
    private final CpuDevice opened;
    private final Map<Precision, CpuDevice> views;
    private final OneDnn oneDnn;
    private final TensorPool pool;
    private final CpuAttention attention;
    private final Set<CpuPacker> packers;
    private final Map<List<Object>, Long> constants;
    private final ForkJoinPool workers;
    private final List<Workspace> workspaces;

    /** @throws DeviceException when this device does not compute in that precision */
    CpuDevice(Precision precision) {
        requireComputable(precision);
        this.precision = precision;
        this.arguments = new Arguments(precision.type());
        this.opened = this;
        this.views = new EnumMap<>(Map.of(precision, this));
        this.oneDnn = new OneDnn(Threads.count());
        this.pool = new TensorPool(oneDnn.memory());
        this.attention = new CpuAttention(this);
        this.packers = new LinkedHashSet<>();
        this.constants = new HashMap<>();
        this.workers = new ForkJoinPool(oneDnn.threads);
        this.workspaces = Stream.generate(() -> new Workspace(oneDnn.memory())).limit(6).toList();
        this.description = describe();
    }

    /** A view of another device. */
    private CpuDevice(Precision precision, CpuDevice opened) {
        requireComputable(precision);
        this.precision = precision;
        this.arguments = new Arguments(precision.type());
        this.opened = opened;
        this.views = opened.views;
        this.oneDnn = opened.oneDnn;
        this.pool = opened.pool;
        this.attention = opened.attention;
        this.packers = opened.packers;
        this.constants = opened.constants;
        this.workers = opened.workers;
        this.workspaces = opened.workspaces;
        this.description = describe();
    }

    private static void requireComputable(Precision precision) {
        if (precision == Precision.FP16) {
            throw new DeviceException("the CPU device computes in fp32 or bf16, not in fp16");
        }
    }

    private String describe() {
        return "CPU, " + oneDnn.threads + (oneDnn.threads == 1 ? " thread" : " threads") + ", oneDNN " + InstructionSet.name() + ", " + precision
                + (precision == Precision.BF16 && oneDnn.widensBfloat16() ? " computed in float32" : "");
    }

    @Override
    public CpuDevice as(Precision other) {
        CpuDevice view = views.get(other);
        if (view == null) {
            view = new CpuDevice(other, opened);
            views.put(other, view);
        }
        return view;
    }

    OneDnn oneDnn() {
        return oneDnn;
    }

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public Precision precision() {
        return precision;
    }

    // --- memory -----------------------------------------------------------------------------------------------------

    @Override
    public Scope scope() {
        return pool.scope();
    }

    @Override
    public Tensor allocate(DataType type, int... shape) {
        return pool.tensor(type, shape);
    }

    @Override
    public Tensor keep(Tensor tensor) {
        return pool.keep(tensor);
    }

    @Override
    public void release(Tensor tensor) {
        pool.release(tensor);
    }

    @Override
    public void trim() {
        pool.trim();
        workspaces.forEach(Workspace::free);
        attention.trim();
        oneDnn.trim();
        oneDnn.memory().returnFreed();
    }

    @Override
    public void write(Tensor target, float[] values) {
        arguments.values(target, values);
        Floats.write(values, target.type(), view(target));
    }

    @Override
    public void write(Tensor target, int[] values) {
        arguments.indices(target, values);
        MemorySegment.copy(values, 0, view(target), ValueLayout.JAVA_INT, 0, values.length);
    }

    @Override
    public void write(Tensor target, MemorySegment bytes) {
        arguments.bytes(target, bytes.byteSize());
        view(target).copyFrom(bytes);
    }

    @Override
    public float[] download(Tensor tensor) {
        Arguments.contiguous(tensor);
        return Floats.read(view(tensor), tensor.type(), Math.toIntExact(tensor.elements()));
    }

    int[] downloadIndices(Tensor indices) {
        return view(indices).toArray(ValueLayout.JAVA_INT);
    }

    @Override
    public void read(Tensor source, MemorySegment bytes) {
        arguments.bytes(source, bytes.byteSize());
        bytes.copyFrom(view(source));
    }

    @Override
    public void copy(Tensor source, Tensor target) {
        arguments.copy(source, target);
        view(target).copyFrom(view(source));
    }

    @Override
    public long freeMemory() {
        return oneDnn.memory().free() + pool.bytesFree();
    }

    @Override
    public long reachableMemory() {
        return oneDnn.memory().reachable() + pool.bytesFree();
    }

    @Override
    public long usedMemory() {
        return Pointer.physicalBytes();
    }

    /** All work is done when its call returns. */
    private record CpuMark(long nanoTime) implements Mark {
        @Override
        public double millisecondsSince(Mark earlier) {
            return (nanoTime - ((CpuMark) earlier).nanoTime) / 1e6;
        }

        @Override
        public void close() {
            // Nothing is held.
        }
    }

    @Override
    public Mark mark() {
        return new CpuMark(System.nanoTime());
    }

    @Override
    public Recording record(Runnable work) {
        return new Recording() {
            @Override
            public void run() {
                try (Scope scope = scope()) {
                    work.run();
                }
            }

            @Override
            public void close() {
                // The pool has everything back after each run.
            }
        };
    }

    @Override
    public void checkWhileComputing(Runnable check) {
        oneDnn.whileComputing = check;
    }

    @Override
    public boolean prefersLargeBatches() {
        return false;
    }

    /** A contiguous tensor's bytes. */
    static MemorySegment view(Tensor tensor) {
        return NativeMemory.view(tensor.address(), tensor.bytes());
    }

    /** The address of a copy of {@code source} in plain row-major order, to be freed by the caller. */
    long store(DataType type, HostTensor source) {
        long bytes = source.elements() * type.bytes();
        long address = oneDnn.memory().allocate(bytes);
        Floats.write(source.toFloats(), type, NativeMemory.view(address, bytes));
        return address;
    }

    /** A float32 array computed once. */
    long constant(List<Object> key, Supplier<float[]> values) {
        Long known = constants.get(key);
        if (known == null) {
            float[] array = values.get();
            known = store(DataType.FLOAT32, HostTensor.of(array, array.length));
            constants.put(key, known);
        }
        return known;
    }

    /** Scratch memory number {@code slot}, grown to at least {@code bytes}; the contents do not survive. */
    long workspace(int slot, long bytes) {
        return workspaces.get(slot).atLeast(bytes);
    }

    /** Does tasks 0 to {@code count - 1} in Java, on as many threads as oneDNN has. */
    void parallel(int count, IntConsumer task) {
        workers.submit(() -> IntStream.range(0, count).parallel().forEach(task)).join();
    }

    // --- weights ----------------------------------------------------------------------------------------------------

    @Override
    public CpuPacker packer() {
        oneDnn.requireOpen();
        CpuPacker packer = new CpuPacker(this, arguments);
        packers.add(packer);
        return packer;
    }

    /** A packer that has freed its weights. */
    void forget(CpuPacker packer) {
        packers.remove(packer);
    }

    /** Weights of this device that are still there. */
    private <T extends CpuWeights> T usable(T weights) {
        weights.packer().requireUsable(this);
        return weights;
    }

    // --- operators --------------------------------------------------------------------------------------------------

    @Override
    public Tensor linear(Tensor x, Linear weights, Activation activation, Tensor residual) {
        CpuLinear w = usable((CpuLinear) weights);
        Tensor y = allocate(precision.type(), arguments.linear(x, w, residual));
        w.run(this, x, y, activation, residual == null ? CpuLinear.Combine.NOTHING : CpuLinear.Combine.ADD, residual);
        return y;
    }

    @Override
    public void linearInto(Tensor x, Linear weights, Tensor target) {
        CpuLinear w = usable((CpuLinear) weights);
        arguments.linearInto(x, w, target);
        w.run(this, x, target, Activation.NONE, CpuLinear.Combine.NOTHING, null);
    }

    @Override
    public Tensor gatedLinear(Tensor x, GatedLinear weights) {
        CpuWeights.GatedLinear w = usable((CpuWeights.GatedLinear) weights);
        Tensor y = allocate(precision.type(), arguments.gatedLinear(x, w));
        Tensor input = w.norm() == null ? x : layerNorm(x, w.norm(), w.epsilon());
        Tensor value = allocate(y.type(), y.shape());
        w.value().run(this, input, value, Activation.NONE, CpuLinear.Combine.NOTHING, null);
        w.gate().run(this, input, y, Activation.GELU, CpuLinear.Combine.MULTIPLY, value);
        return y;
    }

    @Override
    public Tensor mixTokens(Tensor x, TokenMixer a) {
        CpuWeights.TokenMixer mixer = usable((CpuWeights.TokenMixer) a);
        Tensor y = allocate(x.type(), arguments.mixTokens(x, mixer));
        DataType type = computing("mixing of tokens", (d, t) -> mixTokens(d, t, d.rowMajor(t, 1, 256, 256), d.rowMajor(t, 1, 256, 256),
                d.rowMajor(t, 1, 256, 256)));
        if (type == x.type()) {
            mixTokens(type, mixer, x.batch(), x.channels(), mixer.address(), x.address(), y.address());
            return y;
        }
        long elements = (long) mixer.inTokens() * mixer.outTokens();
        long weights = workspace(WEIGHTS, elements * type.bytes());
        long wideX = workspace(INPUT, x.elements() * type.bytes());
        long wideY = workspace(OUTPUT, y.elements() * type.bytes());
        Bfloat16.widen(this, mixer.address(), weights, elements);
        Bfloat16.widen(this, x.address(), wideX, x.elements());
        mixTokens(type, mixer, x.batch(), x.channels(), weights, wideX, wideY);
        Bfloat16.round(this, wideY, y.address(), y.elements());
        return y;
    }

    private void mixTokens(DataType type, CpuWeights.TokenMixer mixer, int batch, int channels, long matrix, long x, long y) {
        oneDnn.primitive(List.of("mix tokens", type, batch, mixer.outTokens(), mixer.inTokens(), channels), d -> {
            dnnl_memory_desc weights = d.rowMajor(type, 1, mixer.outTokens(), mixer.inTokens());
            dnnl_memory_desc in = d.rowMajor(type, batch, mixer.inTokens(), channels);
            dnnl_memory_desc out = d.rowMajor(type, batch, mixer.outTokens(), channels);
            return new Primitive.Builder(oneDnn, mixTokens(d, type, weights, in, out)).argument(DNNL_ARG_SRC, weights)
                    .argument(DNNL_ARG_WEIGHTS, in).argument(DNNL_ARG_DST, out).build();
        }).run(matrix, x, y);
    }

    private static dnnl_primitive_desc mixTokens(Descriptors d, DataType type, dnnl_memory_desc weights, dnnl_memory_desc in,
            dnnl_memory_desc out) {
        return d.primitive("mixing of tokens", type, d.postOps(), (made, engine, attributes) ->
                dnnl_matmul_primitive_desc_create(made, engine, weights, in, null, out, attributes));
    }

    /** What an operator on the device's type computes in. */
    private DataType computing(String operator, OneDnn.Operator typical) {
        return oneDnn.computing(operator, precision.type(), typical);
    }

    @Override
    public Tensor conv2d(Tensor x, Convolution weights, Tensor shift, Tensor residual) {
        CpuConvolution w = usable((CpuConvolution) weights);
        boolean map = x.rank() == 4;
        int height = map ? w.outHeight(x.size(1)) : 0;
        int width = map ? w.outWidth(x.size(2)) : 0;
        arguments.convolution(x, w, shift, height, width);
        Tensor y = allocate(w.outputType(), x.batch(), height, width, w.outChannels());
        arguments.residual(residual, y);
        if (shift == null || shift.batch() == 1) {
            w.run(x, y, shift == null ? w.bias() : shifted(w, shift), residual);
        } else {
            for (int row = 0; row < x.batch(); row++) {
                w.run(x.rows(row, 1), y.rows(row, 1), shifted(w, shift.rows(row, 1)), residual == null ? null : residual.rows(row, 1));
            }
        }
        return y;
    }

    /** The layer's bias and the shift in one vector: what every position gets is a bias too. */
    private long shifted(CpuConvolution w, Tensor shift) {
        float[] sum = download(shift);
        float[] bias = Floats.read(NativeMemory.view(w.bias(), 4L * sum.length), DataType.FLOAT32, sum.length);
        for (int i = 0; i < sum.length; i++) {
            sum[i] += bias[i];
        }
        return upload(DataType.FLOAT32, sum, sum.length).address();
    }

    @Override
    public Tensor groupNorm(Tensor x, Norm weights, int groups, float epsilon, boolean silu) {
        CpuWeights.Norm w = usable((CpuWeights.Norm) weights);
        arguments.groupNorm(x, w, groups);
        Tensor y = allocate(x.type(), x.shape());
        int batch = x.batch();
        int positions = x.positions();
        if (x.type() == DataType.FLOAT32
                || !oneDnn.isFast("group norm", x.type(), (d, t) -> groupNorm(d, t, 1, 1024, 64, 8, epsilon, silu))) {
            PlainGroupNorm.run(this, x, w.scale(), w.shift(), groups, epsilon, silu, y);
            return y;
        }
        oneDnn.primitive(List.of("group norm", x.type(), batch, positions, w.channels(), groups, epsilon, silu), d -> {
            dnnl_memory_desc map = d.featureMap(x.type(), batch, 1, positions, w.channels());
            dnnl_memory_desc vector = d.rowMajor(DataType.FLOAT32, w.channels());
            return new Primitive.Builder(oneDnn, groupNorm(d, x.type(), batch, positions, w.channels(), groups, epsilon, silu))
                    .argument(DNNL_ARG_SRC, map).argument(DNNL_ARG_DST, map)
                    .argument(DNNL_ARG_SCALE, vector).argument(DNNL_ARG_SHIFT, vector).build();
        }).run(x.address(), y.address(), w.scale(), w.shift());
        return y;
    }

    @Override
    public Tensor groupStatistics(Tensor x, int groups, float epsilon) {
        Tensor statistics = allocate(DataType.FLOAT32, arguments.groupStatistics(x, groups));
        PlainGroupNorm.statistics(this, x, groups, epsilon, statistics);
        return statistics;
    }

    @Override
    public Tensor groupNorm(Tensor x, Norm weights, Tensor statistics, boolean silu) {
        CpuWeights.Norm w = usable((CpuWeights.Norm) weights);
        arguments.groupNorm(x, w, statistics);
        Tensor y = allocate(x.type(), x.shape());
        PlainGroupNorm.run(this, x, w.scale(), w.shift(), download(statistics), silu, y);
        return y;
    }

    private static dnnl_primitive_desc groupNorm(Descriptors d, DataType type, int batch, int positions, int channels, int groups,
            float epsilon, boolean silu) {
        dnnl_memory_desc map = d.featureMap(type, batch, 1, positions, channels);
        return d.primitive("group norm", type, silu ? d.postOps().silu() : d.postOps(), (made, engine, attributes) ->
                dnnl_group_normalization_forward_primitive_desc_create(made, engine, dnnl_forward_inference, map, map, groups,
                        epsilon, dnnl_use_scale | dnnl_use_shift, attributes));
    }

    @Override
    public Tensor layerNorm(Tensor x, Norm weights, float epsilon) {
        CpuWeights.Norm w = usable((CpuWeights.Norm) weights);
        arguments.layerNorm(x, w);
        Tensor y = allocate(x.type(), x.shape());
        int rows = x.vectors();
        DataType type = x.type() == DataType.FLOAT32 ? x.type()
                : computing("layer norm", (d, t) -> layerNorm(d, t, 64, 64, epsilon));
        if (type == x.type()) {
            layerNorm(type, rows, w, epsilon, x.address(), y.address());
            return y;
        }
        int most = Math.min(rows, ROWS_AT_ONCE);
        long wideX = workspace(INPUT, (long) most * w.channels() * type.bytes());
        long wideY = workspace(OUTPUT, (long) most * w.channels() * type.bytes());
        for (int row = 0; row < rows; row += most) {
            int n = Math.min(most, rows - row);
            long at = (long) row * w.channels() * x.type().bytes();
            Bfloat16.widen(this, x.address() + at, wideX, (long) n * w.channels());
            layerNorm(type, n, w, epsilon, wideX, wideY);
            Bfloat16.round(this, wideY, y.address() + at, (long) n * w.channels());
        }
        return y;
    }

    private void layerNorm(DataType type, int rows, CpuWeights.Norm w, float epsilon, long x, long y) {
        oneDnn.primitive(List.of("layer norm", type, rows, w.channels(), epsilon), d -> {
            dnnl_memory_desc matrix = d.rowMajor(type, rows, w.channels());
            dnnl_memory_desc vector = d.rowMajor(DataType.FLOAT32, w.channels());
            return new Primitive.Builder(oneDnn, layerNorm(d, type, rows, w.channels(), epsilon))
                    .argument(DNNL_ARG_SRC, matrix).argument(DNNL_ARG_DST, matrix)
                    .argument(DNNL_ARG_SCALE, vector).argument(DNNL_ARG_SHIFT, vector).build();
        }).run(x, y, w.scale(), w.shift());
    }

    private static dnnl_primitive_desc layerNorm(Descriptors d, DataType type, int rows, int channels, float epsilon) {
        dnnl_memory_desc matrix = d.rowMajor(type, rows, channels);
        return d.primitive("layer norm", type, d.postOps(), (made, engine, attributes) ->
                dnnl_layer_normalization_forward_primitive_desc_create(made, engine, dnnl_forward_inference, matrix, matrix, null,
                        epsilon, dnnl_use_scale | dnnl_use_shift, attributes));
    }

    @Override
    public Tensor attention(Tensor query, List<Source> sources, int heads, boolean causal) {
        arguments.attention(query, sources, heads, causal);
        Tensor out = allocate(query.type(), query.shape());
        if (computing("attention", CpuAttention::typical) == query.type()) {
            attention.run(query, sources, heads, causal, out);
            return out;
        }
        try (Scope scope = scope()) {
            Tensor wideOut = allocate(DataType.FLOAT32, out.shape());
            List<Source> wideSources = sources.stream()
                    .map(source -> new Source(wide(source.keys()), wide(source.values()), source.rows(), source.scales())).toList();
            attention.run(wide(query), wideSources, heads, causal, wideOut);
            Bfloat16.round(this, wideOut.address(), out.address(), out.elements());
        }
        return out;
    }

    /** A float32 copy. */
    private Tensor wide(Tensor x) {
        Tensor wide = allocate(DataType.FLOAT32, x.shape());
        Bfloat16.widen(this, x, wide);
        return wide;
    }

    @Override
    public Tensor upsample2x(Tensor x, int height, int width) {
        arguments.upsample2x(x, height, width);
        int b = x.batch();
        int h = x.size(1);
        int w = x.size(2);
        int c = x.channels();
        Tensor doubled = allocate(x.type(), b, 2 * h, 2 * w, c);
        // Bytes are copied whatever they mean: oneDNN knows bfloat16 on some processors only.
        int bytes = c * x.type().bytes();
        oneDnn.primitive(List.of("upsample", b, h, w, bytes), d -> {
            dnnl_memory_desc in = d.bytes(new long[] {b, bytes, h, w}, new long[] {(long) h * w * bytes, 1, (long) w * bytes, bytes});
            dnnl_memory_desc out = d.bytes(new long[] {b, bytes, 2L * h, 2L * w},
                    new long[] {4L * h * w * bytes, 1, 2L * w * bytes, bytes});
            dnnl_primitive_desc descriptor = d.primitive("doubling of pictures", x.type(), d.postOps(),
                    (made, engine, attributes) -> dnnl_resampling_forward_primitive_desc_create(made, engine, dnnl_forward_inference,
                            dnnl_resampling_nearest, new float[] {2, 2}, in, out, attributes));
            return new Primitive.Builder(oneDnn, descriptor).argument(DNNL_ARG_SRC, in).argument(DNNL_ARG_DST, out).build();
        }).run(x.address(), doubled.address());
        return height == 2 * h && width == 2 * w ? doubled : cut(doubled, height, width);
    }

    /** The upper left {@code height} x {@code width} of {@code x}. */
    private Tensor cut(Tensor x, int height, int width) {
        Tensor y = allocate(x.type(), x.batch(), height, width, x.channels());
        long from = (long) x.size(2) * x.channels() * x.type().bytes();
        long to = (long) width * x.channels() * x.type().bytes();
        for (int row = 0; row < x.batch() * height; row++) {
            long source = (long) (row / height) * x.size(1) + row % height;
            MemorySegment.copy(view(x), source * from, view(y), row * to, to);
        }
        return y;
    }

    @Override
    public Tensor add(Tensor a, Tensor b) {
        arguments.add(a, b);
        Tensor y = allocate(a.type(), a.shape());
        CpuElementwise.add(this, a, b, y);
        return y;
    }

    @Override
    public Tensor concat(int axis, Tensor... parts) {
        int[] shape = arguments.concat(axis, parts);
        Tensor y = allocate(parts[0].type(), shape);
        Tensor rows = y.flat(axis);
        long offset = 0;
        for (Tensor part : parts) {
            Tensor own = part.flat(axis);
            copyRows(own, rows, offset);
            offset += (long) own.channels() * own.type().bytes();
        }
        return y;
    }

    /** Copies the rows of a matrix into the wider ones of another. */
    private void copyRows(Tensor from, Tensor to, long offset) {
        long rows = from.batch();
        long narrow = (long) from.channels() * from.type().bytes();
        long wide = (long) to.channels() * to.type().bytes();
        oneDnn.primitive(List.of("copy rows", rows, narrow, wide), d -> {
            dnnl_memory_desc source = d.bytes(new long[] {rows, narrow}, new long[] {narrow, 1});
            dnnl_memory_desc target = d.bytes(new long[] {rows, narrow}, new long[] {wide, 1});
            return Primitive.copy(oneDnn, d, from.type(), source, target, d.postOps());
        }).run(from.address(), to.address() + offset);
    }

    @Override
    public Tensor timestepEmbedding(Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift) {
        arguments.timestepEmbedding(timesteps, channels);
        float[] t = download(timesteps);
        int half = channels / 2;
        float[] embedding = new float[t.length * channels];
        for (int i = 0; i < half; i++) {
            // float32 as in the reference: at timestep 981 the rounding of the frequency shows in the fourth digit.
            float exponent = (float) -Math.log(10000) * i / (half - frequencyShift);
            float frequency = (float) Math.exp(exponent);
            for (int row = 0; row < t.length; row++) {
                float angle = t[row] * frequency;
                int first = row * channels + i;
                embedding[first] = (float) (flipSinToCos ? Math.cos(angle) : Math.sin(angle));
                embedding[first + half] = (float) (flipSinToCos ? Math.sin(angle) : Math.cos(angle));
            }
        }
        return upload(precision.type(), embedding, t.length, channels);
    }

    @Override
    public Tensor embed(Table tokens, Table positions, int[][] ids) {
        CpuWeights.Table t = usable((CpuWeights.Table) tokens);
        CpuWeights.Table p = usable((CpuWeights.Table) positions);
        int length = arguments.embed(t, p, ids);
        float[] sum = new float[ids.length * length * t.channels()];
        for (int row = 0; row < ids.length; row++) {
            for (int i = 0; i < length; i++) {
                float[] token = row(t, ids[row][i]);
                float[] position = row(p, i);
                int start = (row * length + i) * t.channels();
                for (int c = 0; c < t.channels(); c++) {
                    sum[start + c] = token[c] + position[c];
                }
            }
        }
        return upload(precision.type(), sum, ids.length, length, t.channels());
    }

    private static float[] row(CpuWeights.Table table, int index) {
        long bytes = (long) table.channels() * table.type().bytes();
        return Floats.read(NativeMemory.view(table.address() + index * bytes, bytes), table.type(), table.channels());
    }

    @Override
    public Tensor toActivations(Tensor... latents) {
        Tensor activations = allocate(precision.type(), arguments.toActivations(latents));
        int row = 0;
        for (Tensor part : latents) {
            write(activations.rows(row, part.batch()), download(part));
            row += part.batch();
        }
        return activations;
    }

    @Override
    public void combine(List<Tensor> targets, Tensor factors, Tensor... terms) {
        arguments.combine(targets, factors, terms);
        CpuElementwise.combine(this, targets, factors, terms);
    }

    @Override
    public void matchDeviation(Tensor target, Tensor reference, Tensor amounts) {
        arguments.matchDeviation(target, reference, amounts);
        CpuElementwise.matchDeviation(this, target, reference, amounts);
    }

    @Override
    public void blend(Tensor target, Tensor other, Tensor mask) {
        arguments.blend(target, other, mask);
        CpuElementwise.blend(this, target, other, mask);
    }

    @Override
    public void close() {
        if (opened != this || oneDnn.isClosed()) {
            return;
        }
        workers.close();
        pool.close();
        workspaces.forEach(Workspace::free);
        List.copyOf(packers).forEach(CpuPacker::close);
        constants.values().forEach(oneDnn.memory()::free);
        constants.clear();
        attention.close();
        oneDnn.close();
        oneDnn.memory().returnFreed();
    }
}
