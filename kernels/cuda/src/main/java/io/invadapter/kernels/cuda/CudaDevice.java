package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.TensorPool;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.choice.Chooser;
import io.invadapter.kernels.cuda.choice.Workspace;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An NVIDIA GPU: matrix products by cuBLAS, convolutions by cuDNN, everything else by the kernels of this module, all on one
 * stream. Feature maps are channels-last throughout.
 */
final class CudaDevice implements Device {
    /** In the book, why something could not be recorded. */
    static final String NOT_RECORDABLE = "what cannot be recorded as a graph";

    private final Precision precision;
    private final DataType type;
    private final Arguments arguments;
    private final KernelLibrary library;
    private final Pointwise pointwise;
    private final Normalisation normalisation;
    private final CudaAttention attention;
    private final Products products;
    private final CudaMaps maps;
    private final CudaEnds ends;

    /** The device that was opened; this one, or that of which this is a view. All that follows is shared with it. */
    private final CudaDevice opened;
    private final Map<Precision, CudaDevice> views;
    private final String name;
    private final CudaDriver driver;
    private final Blas blas;
    private final Dnn dnn;
    private final ChoiceBook book;
    private final KernelLibrary floatLibrary;
    private final CudaDriver.Stream stream;
    private final Staging staging;
    private final TensorPool requestPool;
    private final Workspace workspace;
    private final Chooser chooser;
    private final ConvolutionPlans convolutions;
    private final long normWorkspace;
    private final Set<CudaPacker> packers;
    private final Deque<Runnable> closing;
    /** Of the opened device; why something could not be recorded, or null. */
    private String notRecordable;
    /** Of the opened device. */
    private TensorPool pool;
    private boolean closed;

    /**
     * Takes over driver, blas and dnn: they are closed with the device, or at once when this fails.
     *
     * @param book what was chosen on this GPU with these libraries
     */
    CudaDevice(String name, Precision precision, CudaDriver driver, Blas blas, Dnn dnn, ChoiceBook book) {
        this.name = name;
        this.precision = precision;
        this.type = precision.type();
        this.arguments = new Arguments(type);
        this.opened = this;
        this.views = new EnumMap<>(Map.of(precision, this));
        this.driver = driver;
        this.blas = blas;
        this.dnn = dnn;
        this.book = book;
        this.packers = new LinkedHashSet<>();
        this.closing = new ArrayDeque<>();
        closing.push(driver::close);
        closing.push(this::closeStream);
        // Both wait for the whole GPU.
        closing.push(() -> driver.betweenRecordings(blas::close));
        closing.push(() -> driver.betweenRecordings(dnn::close));
        try {
            library = new KernelLibrary(driver, type);
            closing.push(library::settle);
            pointwise = new Pointwise(library);
            floatLibrary = new KernelLibrary(driver, DataType.FLOAT32);
            maps = new CudaMaps(this, pointwise, new Pointwise(floatLibrary));
            ends = new CudaEnds(this, library, pointwise);
            normalisation = new Normalisation(library);
            stream = driver.newStream();
            staging = new Staging(driver, stream);
            closing.push(staging::close);
            closing.push(this::closePackers);
            requestPool = new TensorPool(memory());
            closing.push(requestPool::close);
            pool = requestPool;
            workspace = new Workspace(driver);
            closing.push(workspace::close);
            chooser = new Chooser(driver, stream, workspace, book, this::trim);
            products = new Products(driver, stream, blas, pointwise, workspace, chooser, type);
            closing.push(products::close);
            convolutions = new ConvolutionPlans(this, dnn, this::addBias);
            closing.push(convolutions::close);
            long normBytes = normalisation.groupNormWorkspaceBytes();
            normWorkspace = driver.allocate(normBytes);
            closing.push(() -> driver.free(normWorkspace));
            driver.fill(normWorkspace, (byte) 0, normBytes);
            attention = new CudaAttention(library, dnn, chooser, workspace, CudaAttention.WORTH_CHOOSING);
            closing.push(attention::close);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** A view of another device. */
    private CudaDevice(Precision precision, CudaDevice opened) {
        this.precision = precision;
        this.type = precision.type();
        this.arguments = new Arguments(type);
        this.opened = opened;
        this.views = opened.views;
        this.name = opened.name;
        this.driver = opened.driver;
        this.blas = opened.blas;
        this.dnn = opened.dnn;
        this.book = opened.book;
        this.packers = opened.packers;
        this.closing = opened.closing;
        this.floatLibrary = opened.floatLibrary;
        this.stream = opened.stream;
        this.staging = opened.staging;
        this.requestPool = opened.requestPool;
        this.workspace = opened.workspace;
        this.chooser = opened.chooser;
        this.convolutions = opened.convolutions;
        this.normWorkspace = opened.normWorkspace;
        this.library = precision == Precision.FP32 ? floatLibrary : new KernelLibrary(driver, type);
        this.pointwise = new Pointwise(library);
        this.maps = new CudaMaps(this, pointwise, new Pointwise(floatLibrary));
        this.ends = new CudaEnds(this, library, pointwise);
        this.normalisation = new Normalisation(library);
        this.products = new Products(driver, stream, blas, pointwise, workspace, chooser, type);
        this.attention = new CudaAttention(library, dnn, chooser, workspace, CudaAttention.WORTH_CHOOSING);
        closing.push(library::settle);
        closing.push(products::close);
        closing.push(attention::close);
    }

    @Override
    public CudaDevice as(Precision other) {
        requireOpen();
        CudaDevice view = views.get(other);
        if (view == null) {
            view = new CudaDevice(other, opened);
            views.put(other, view);
        }
        return view;
    }

    private void requireOpen() {
        if (opened.closed) {
            throw new IllegalStateException("the device is closed");
        }
    }

    /** Of a convolution of any type. */
    private void addBias(Dnn.Shape shape, long bias, long y) {
        views.values().stream().filter(view -> view.type == shape.type()).forEach(view -> view.maps.addBias(shape, bias, y));
    }

    /** Waits until all kernels that are being loaded are there. */
    void settleKernels() {
        views.values().forEach(view -> view.library.settle());
    }

    /** After the handles of cuBLAS and cuDNN, which name it. */
    private void closeStream() {
        if (stream != null) {
            stream.close();
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        int capability = driver.computeCapability();
        return driver.deviceName() + " (compute capability " + capability / 10 + "." + capability % 10 + "), " + precision + ", "
                + blas.description() + ", " + dnn.description() + loading()
                + (opened.notRecordable == null ? "" : ", launching one by one " + NOT_RECORDABLE + " (" + opened.notRecordable + ")");
    }

    /** How long the driver took for the kernels that it has loaded so far; nothing while there are none. */
    private String loading() {
        Map<String, Duration> times = kernelLoadTimes();
        return times.entrySet().stream().max(Map.Entry.comparingByValue()).map(longest -> ", kernels loaded: "
                + times.size() + ", together " + times.values().stream().reduce(Duration.ZERO, Duration::plus).toMillis()
                + " ms, the longest " + longest.getKey() + " with " + longest.getValue().toMillis() + " ms").orElse("");
    }

    /** Something cannot be recorded and is done without from now on; the book keeps it for who asks what devices there are. */
    void notRecordable(String reason) {
        opened.notRecordable = reason.replaceAll("\\s+", " ");
        book.put(NOT_RECORDABLE, new ChoiceBook.Entry(opened.notRecordable, Double.NaN));
    }

    /** Something was recorded: what the book says of an earlier process holds no more, unless it was found again. */
    void recorded() {
        if (opened.notRecordable == null) {
            book.remove(NOT_RECORDABLE);
        }
    }

    @Override
    public Precision precision() {
        return precision;
    }

    CudaDriver driver() {
        return driver;
    }

    /** The kernels for the activations' type. */
    KernelLibrary library() {
        return library;
    }

    /** How long the driver took for each kernel that was loaded so far. */
    Map<String, Duration> kernelLoadTimes() {
        Map<String, Duration> times = library.loadTimes();
        floatLibrary.loadTimes().forEach((kernel, time) -> times.put(kernel + " (fp32)", time));
        return times;
    }

    CudaDriver.Stream stream() {
        return stream;
    }

    /** Chooses among the libraries' ways. */
    Chooser chooser() {
        return chooser;
    }

    /** The scratch memory of whatever runs on the stream. */
    Workspace workspace() {
        return workspace;
    }

    Products products() {
        return products;
    }

    Pointwise pointwise() {
        return pointwise;
    }

    CudaMaps maps() {
        return maps;
    }

    Normalisation normalisation() {
        return normalisation;
    }

    CudaAttention attention() {
        return attention;
    }

    /** The scratch memory of group norms. */
    long normWorkspace() {
        return normWorkspace;
    }

    // --- memory -----------------------------------------------------------------------------------------------------

    /** The driver as a pool's source. */
    TensorPool.Memory memory() {
        return new TensorPool.Memory() {
            @Override
            public long allocate(long bytes) {
                return driver.allocate(bytes);
            }

            @Override
            public void free(long address, long bytes) {
                driver.free(address);
            }
        };
    }

    /** Does {@code work} with tensors from another pool. */
    void within(TensorPool other, Runnable work) {
        TensorPool outer = opened.pool;
        opened.pool = other;
        try (Scope scope = other.scope()) {
            work.run();
        } finally {
            opened.pool = outer;
        }
    }

    @Override
    public Scope scope() {
        return opened.pool.scope();
    }

    @Override
    public Tensor allocate(DataType elementType, int... shape) {
        return opened.pool.tensor(elementType, shape);
    }

    @Override
    public Tensor keep(Tensor tensor) {
        return opened.pool.keep(tensor);
    }

    @Override
    public void release(Tensor tensor) {
        opened.pool.release(tensor);
    }

    @Override
    public void trim() {
        settle();
        requestPool.trim();
    }

    @Override
    public long freeMemory() {
        return driver.memory().free() + requestPool.bytesFree();
    }

    @Override
    public long usedMemory() {
        CudaDriver.Memory memory = driver.memory();
        return memory.total() - memory.free();
    }

    private record CudaMark(CudaDriver.Event event) implements Mark {
        @Override
        public double millisecondsSince(Mark earlier) {
            return event.millisecondsSince(((CudaMark) earlier).event);
        }

        @Override
        public void close() {
            event.close();
        }
    }

    @Override
    public Mark mark() {
        CudaDriver.Event event = driver.newEvent();
        event.record(stream);
        return new CudaMark(event);
    }

    @Override
    public void write(Tensor target, float[] values) {
        arguments.values(target, values);
        if (target.type() == DataType.FLOAT32) {
            write(target, MemorySegment.ofArray(values));
            return;
        }
        short[] rounded = new short[values.length];
        MemorySegment bytes = MemorySegment.ofArray(rounded);
        Floats.write(values, target.type(), bytes);
        write(target, bytes);
    }

    @Override
    public void write(Tensor target, int[] values) {
        arguments.indices(target, values);
        write(target, MemorySegment.ofArray(values));
    }

    @Override
    public void write(Tensor target, MemorySegment bytes) {
        arguments.bytes(target, bytes.byteSize());
        staging.copy(bytes, target.address());
    }

    @Override
    public float[] download(Tensor tensor) {
        Arguments.contiguous(tensor);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(tensor.bytes(), 64);
            read(tensor, bytes);
            return Floats.read(bytes, tensor.type(), Math.toIntExact(tensor.elements()));
        }
    }

    @Override
    public void read(Tensor source, MemorySegment bytes) {
        arguments.bytes(source, bytes.byteSize());
        driver.copyOut(bytes, source.address(), bytes.byteSize());
    }

    @Override
    public void copy(Tensor source, Tensor target) {
        arguments.copy(source, target);
        driver.copy(target.address(), source.address(), source.bytes(), stream);
    }

    @Override
    public Recording record(Runnable work) {
        return new CudaRecording(this, work);
    }

    @Override
    public boolean prefersLargeBatches() {
        return true;
    }

    // --- weights ----------------------------------------------------------------------------------------------------

    @Override
    public CudaPacker packer() {
        requireOpen();
        CudaPacker packer = new CudaPacker(this, arguments);
        packers.add(packer);
        return packer;
    }

    /** A packer that has freed its weights. */
    void forget(CudaPacker packer) {
        packers.remove(packer);
    }

    private void closePackers() {
        List.copyOf(packers).forEach(CudaPacker::close);
    }

    /** Weights of this device that are still there. */
    private <T extends CudaWeights> T usable(T weights) {
        weights.packer().requireUsable(this);
        return weights;
    }

    // --- matrix products --------------------------------------------------------------------------------------------

    @Override
    public Tensor linear(Tensor x, Linear layer, Activation activation, Tensor residual) {
        return usable((CudaLinear) layer).run(arguments, x, activation, residual);
    }

    @Override
    public void linearInto(Tensor x, Linear layer, Tensor target) {
        usable((CudaLinear) layer).into(arguments, x, target);
    }

    @Override
    public Tensor gatedLinear(Tensor x, GatedLinear layer) {
        return usable((CudaGatedLinear) layer).run(arguments, x);
    }

    @Override
    public Tensor mixTokens(Tensor x, TokenMixer a) {
        return usable((CudaTokenMixer) a).run(arguments, x);
    }

    // --- convolutions -----------------------------------------------------------------------------------------------

    @Override
    public Tensor conv2d(Tensor x, Convolution layer, Tensor shift, Tensor residual) {
        return usable((CudaConvolution) layer).run(arguments, x, shift, residual);
    }

    /** Their plans. */
    ConvolutionPlans convolutions() {
        return convolutions;
    }

    // --- maps -------------------------------------------------------------------------------------------------------

    @Override
    public Tensor upsample2x(Tensor x, int height, int width) {
        return maps.upsample2x(arguments, x, height, width);
    }

    @Override
    public Tensor add(Tensor a, Tensor b) {
        return maps.add(arguments, a, b);
    }

    @Override
    public Tensor concat(int axis, Tensor... parts) {
        return maps.concat(arguments, axis, parts);
    }

    // --- norms and attention ----------------------------------------------------------------------------------------

    @Override
    public Tensor groupNorm(Tensor x, Norm layer, int groups, float epsilon, boolean silu) {
        return usable((CudaNorm) layer).group(arguments, x, groups, epsilon, silu);
    }

    @Override
    public Tensor groupStatistics(Tensor x, int groups, float epsilon) {
        Tensor statistics = allocate(DataType.FLOAT32, arguments.groupStatistics(x, groups));
        normalisation.groupStatistics(x.address(), statistics.address(), normWorkspace, x.batch(), x.positions(), x.channels(), groups,
                epsilon, stream);
        return statistics;
    }

    @Override
    public Tensor groupNorm(Tensor x, Norm layer, Tensor statistics, boolean silu) {
        return usable((CudaNorm) layer).group(arguments, x, statistics, silu);
    }

    @Override
    public Joined joinedGroupNorm(Tensor a, Tensor b, Norm layer, int groups, float epsilon, boolean silu) {
        return usable((CudaNorm) layer).joined(arguments, a, b, groups, epsilon, silu);
    }

    @Override
    public Tensor layerNorm(Tensor x, Norm layer, float epsilon) {
        return usable((CudaNorm) layer).layer(arguments, x, epsilon);
    }

    @Override
    public Tensor attention(Tensor query, List<Source> sources, int heads, boolean causal) {
        arguments.attention(query, sources, heads, causal);
        int size = query.channels() / heads;
        Tensor out = allocate(type, query.shape());
        Attention.Shape shape = new Attention.Shape(query.batch(), heads, query.size(1), sources.getFirst().keys().size(1), size,
                (float) (1 / Math.sqrt(size)));
        attention.run(strided(query, size), sources.stream().map(source -> of(source, size)).toList(), strided(out, size), shape, causal,
                stream);
        return out;
    }

    private static Attention.Source of(Source source, int headSize) {
        return new Attention.Source(strided(source.keys(), headSize), strided(source.values(), headSize), source.keys().size(1),
                source.keys().batch(), source.rows() == null ? 0 : source.rows().address(),
                source.scales() == null ? 0 : source.scales().address());
    }

    private static Strided strided(Tensor x, int headSize) {
        return new Strided(x.address(), x.positions() * x.rowStride(), Math.toIntExact(x.rowStride()), headSize);
    }

    // --- ends of the networks ---------------------------------------------------------------------------------------

    @Override
    public Tensor timestepEmbedding(Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift) {
        return ends.timestepEmbedding(arguments, timesteps, channels, flipSinToCos, frequencyShift);
    }

    @Override
    public Tensor embed(Table tokens, Table positions, int[][] ids) {
        return ends.embed(arguments, usable((CudaTable) tokens), usable((CudaTable) positions), ids);
    }

    @Override
    public Tensor toActivations(Tensor... latents) {
        return ends.toActivations(arguments, latents);
    }

    @Override
    public void combine(List<Tensor> targets, Tensor factors, Tensor... terms) {
        ends.combine(arguments, targets, factors, terms);
    }

    @Override
    public void matchDeviation(Tensor target, Tensor reference, Tensor amounts) {
        ends.matchDeviation(arguments, target, reference, amounts);
    }

    @Override
    public void blend(Tensor target, Tensor other, Tensor mask) {
        ends.blend(arguments, target, other, mask);
    }

    /** What there is, the last first. */
    @Override
    public void close() {
        if (opened != this) {
            return;
        }
        settle();
        closed = true;
        while (!closing.isEmpty()) {
            closing.pop().run();
        }
    }

    /** Waits until nothing uses what will be freed. A lost or closed device uses nothing any more. */
    void settle() {
        if (opened.closed) {
            return;
        }
        try {
            driver.synchronize();
        } catch (CudaException e) {
            // Whoever used it has been told.
        }
    }
}
