package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;

/**
 * An NVIDIA GPU: matrix products by cuBLAS, convolutions by cuDNN, everything else by the kernels of this module, all on one
 * stream. Feature maps are channels-last throughout.
 */
final class CudaDevice implements Device {
    /** In the book, why something could not be recorded. */
    static final String NOT_RECORDABLE = "what cannot be recorded as a graph";

    private record CudaNorm(int channels, long scale, long shift) implements Norm {
    }

    private record CudaTable(int rows, int channels, long address) implements Table {
    }

    private final String name;
    private final Precision precision;
    private final DataType type;
    private final Arguments arguments;
    private final CudaDriver driver;
    private final Blas blas;
    private final Dnn dnn;
    private final CudaDriver.Stream stream;
    private final Staging staging;
    private final KernelLibrary library;
    private final KernelLibrary floatLibrary;
    private final WeightMemory weights;
    private final Pointwise pointwise;
    private final Pointwise floats;
    private final Normalisation normalisation;
    private final CudaAttention attention;
    private final Embeddings embeddings;
    private final Sampling sampling;
    private final TensorPool requestPool;
    private final Workspace workspace;
    private final Chooser chooser;
    private final Products products;
    private final GatedWays gatedWays;
    private final ConvolutionPlans convolutions;
    private final long normWorkspace;
    private final ChoiceBook book;
    /** Why something could not be recorded, or null. */
    private String notRecordable;
    /** Memory that may be named by recorded graphs: freed with the device only. */
    private final List<Long> lasting = new ArrayList<>();
    private final Deque<Runnable> closing = new ArrayDeque<>();
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
        this.driver = driver;
        this.blas = blas;
        this.dnn = dnn;
        this.book = book;
        closing.push(driver::close);
        // Both wait for the whole GPU.
        closing.push(() -> driver.betweenRecordings(blas::close));
        closing.push(() -> driver.betweenRecordings(dnn::close));
        try {
            library = new KernelLibrary(driver, type);
            closing.push(library::settle);
            pointwise = new Pointwise(library);
            floatLibrary = new KernelLibrary(driver, DataType.FLOAT32);
            floats = new Pointwise(floatLibrary);
            normalisation = new Normalisation(library);
            embeddings = new Embeddings(library);
            sampling = new Sampling(library);
            stream = driver.newStream();
            closing.push(stream::close);
            staging = new Staging(driver, stream);
            closing.push(staging::close);
            weights = new WeightMemory(driver);
            closing.push(weights::close);
            closing.push(() -> lasting.forEach(driver::free));
            requestPool = new TensorPool(memory());
            closing.push(requestPool::close);
            pool = requestPool;
            workspace = new Workspace(driver);
            closing.push(workspace::close);
            chooser = new Chooser(driver, stream, workspace, book, this::trim);
            products = new Products(driver, stream, blas, pointwise, workspace, chooser, type);
            closing.push(products::close);
            gatedWays = new GatedWays(stream, library, products, chooser, weights);
            convolutions = new ConvolutionPlans(this, dnn, this::addBias);
            closing.push(convolutions::close);
            long normBytes = normalisation.groupNormWorkspaceBytes();
            normWorkspace = lasting(normBytes);
            driver.fill(normWorkspace, (byte) 0, normBytes);
            attention = new CudaAttention(library, dnn, chooser, workspace, CudaAttention.WORTH_CHOOSING);
            closing.push(attention::close);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
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
                + (notRecordable == null ? "" : ", launching one by one what cannot be recorded as a graph (" + notRecordable + ")");
    }

    /** How long the driver took for the modules of kernels that it has loaded so far; nothing while there are none. */
    private String loading() {
        Map<String, Duration> times = moduleLoadTimes();
        return times.entrySet().stream().max(Map.Entry.comparingByValue()).map(longest -> ", modules of kernels loaded: "
                + times.size() + ", together " + times.values().stream().reduce(Duration.ZERO, Duration::plus).toMillis()
                + " ms, the longest " + longest.getKey() + " with " + longest.getValue().toMillis() + " ms").orElse("");
    }

    /** Something cannot be recorded and is done without from now on; the book keeps it for who asks what devices there are. */
    void notRecordable(String reason) {
        notRecordable = reason.replaceAll("\\s+", " ");
        book.put(NOT_RECORDABLE, new ChoiceBook.Entry(notRecordable, Double.NaN));
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

    /** How long the driver took for each module of kernels that was loaded so far. */
    Map<String, Duration> moduleLoadTimes() {
        Map<String, Duration> times = library.loadTimes();
        floatLibrary.loadTimes().forEach((operator, time) -> times.put(operator + " (fp32)", time));
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

    private long lasting(long bytes) {
        long address = driver.allocate(bytes);
        lasting.add(address);
        return address;
    }

    /** Does {@code work} with tensors from another pool. */
    void within(TensorPool other, Runnable work) {
        TensorPool outer = pool;
        pool = other;
        try (Scope scope = other.scope()) {
            work.run();
        } finally {
            pool = outer;
        }
    }

    @Override
    public Scope scope() {
        return pool.scope();
    }

    @Override
    public Tensor allocate(DataType elementType, int... shape) {
        return pool.tensor(elementType, shape);
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

    // Whoever packs a layer will use it: its kernels are loaded while the other weights are read.

    private long store(HostTensor weight) {
        return weight == null ? 0 : weights.store(type, weight);
    }

    @Override
    public Linear linear(HostTensor weight, HostTensor bias) {
        arguments.weights(weight, 2, bias);
        library.prepare("add");
        return new CudaLinear(this, weights, weight, bias);
    }

    @Override
    public GatedLinear gatedLinear(HostTensor weight, HostTensor bias, LayerNorm norm) {
        arguments.gatedWeights(weight, bias, norm);
        library.prepare("geglu");
        // It stands in transformers only.
        attention.prepare();
        return new CudaGatedLinear(this, weights, weight, bias, norm);
    }

    @Override
    public TokenMixer tokenMixer(HostTensor weight) {
        arguments.weights(weight, 2, null);
        // It stands in front of an identity's attention only.
        attention.prepareIdentity();
        return new CudaTokenMixer(this, weights, weight);
    }

    @Override
    public Convolution convolution(HostTensor weight, HostTensor bias, int stride, Padding padding, DataType outputType) {
        arguments.weights(weight, 4, bias);
        return new CudaConvolution(this, weights, weight, bias, stride, padding, outputType);
    }

    @Override
    public Norm norm(HostTensor weight, HostTensor bias) {
        arguments.weights(weight, 1, bias);
        normalisation.prepare();
        return new CudaNorm(weight.shape()[0], store(weight), store(bias));
    }

    @Override
    public Table table(HostTensor weight) {
        arguments.weights(weight, 2, null);
        return new CudaTable(weight.shape()[0], weight.shape()[1], store(weight));
    }

    // --- matrix products --------------------------------------------------------------------------------------------

    @Override
    public Tensor linear(Tensor x, Linear layer, Activation activation, Tensor residual) {
        return ((CudaLinear) layer).run(arguments, x, activation, residual);
    }

    @Override
    public void linearInto(Tensor x, Linear layer, Tensor target) {
        ((CudaLinear) layer).into(arguments, x, target);
    }

    @Override
    public Tensor gatedLinear(Tensor x, GatedLinear layer) {
        return ((CudaGatedLinear) layer).run(arguments, x);
    }

    GatedWays gatedWays() {
        return gatedWays;
    }

    /** {@code y = (value + bias) gelu(gate + bias)} of values and gates beside one another. */
    void geglu(Tensor both, long bias, Tensor y) {
        pointwise.geglu(both.address(), bias, y.address(), rows(y), y.channels(), stream);
    }

    /** {@code y = x W^T}. */
    void multiply(Tensor x, long weight, Tensor y) {
        products.linear(x.address(), weight, 0, 0, y.address(), rows(x), x.channels(), y.channels());
    }

    private static int rows(Tensor x) {
        return Math.toIntExact(x.elements() / x.channels());
    }

    private static long address(Tensor tensor) {
        return tensor == null ? 0 : tensor.address();
    }

    @Override
    public Tensor mixTokens(Tensor x, TokenMixer a) {
        return ((CudaTokenMixer) a).run(arguments, x);
    }

    // --- convolutions -----------------------------------------------------------------------------------------------

    @Override
    public Tensor conv2d(Tensor x, Convolution layer, Tensor shift, Tensor residual) {
        return ((CudaConvolution) layer).run(arguments, x, shift, residual);
    }

    /** Their plans. */
    ConvolutionPlans convolutions() {
        return convolutions;
    }

    private void addBias(Dnn.Shape shape, long bias, long y) {
        pointwise.add(y, bias, Activation.NONE, 0, y, shape.batch() * shape.outHeight() * shape.outWidth(), shape.outChannels(),
                stream);
    }

    /** {@code x} with zeros around it. */
    Tensor padded(Tensor x, Padding p) {
        Tensor y = allocate(type, x.batch(), x.size(1) + p.top() + p.bottom(), x.size(2) + p.left() + p.right(), x.channels());
        pointwise.pad(x.address(), y.address(), x.batch(), x.size(1), x.size(2), x.channels(), p, stream);
        return y;
    }

    /** A vector and another of the same length. */
    Tensor sum(Tensor vector, long other) {
        Tensor sum = allocate(type, vector.channels());
        pointwise.add(vector.address(), other, Activation.NONE, 0, sum.address(), 1, vector.channels(), stream);
        return sum;
    }

    /** {@code y = x + residual} in float32; the residual may be {@code null}. */
    void widen(Tensor x, Tensor residual, Tensor y) {
        pointwise.toFloat(x.address(), y.address(), x.elements(), stream);
        if (residual != null) {
            floats.add(y.address(), 0, Activation.NONE, residual.address(), y.address(), rows(y), y.channels(), stream);
        }
    }

    @Override
    public Tensor upsample2x(Tensor x, int height, int width) {
        arguments.upsample2x(x, height, width);
        Tensor y = allocate(type, x.batch(), height, width, x.channels());
        pointwise.upsample(x.address(), y.address(), x.batch(), x.size(1), x.size(2), height, width, x.channels(), stream);
        return y;
    }

    @Override
    public Tensor concatChannels(Tensor a, Tensor b) {
        Tensor y = allocate(type, arguments.concatChannels(a, b));
        pointwise.concat(a.address(), b.address(), y.address(), rows(a), a.channels(), b.channels(), stream);
        return y;
    }

    // --- norms and attention ----------------------------------------------------------------------------------------

    @Override
    public Tensor groupNorm(Tensor x, Norm layer, int groups, float epsilon, boolean silu) {
        CudaNorm w = (CudaNorm) layer;
        arguments.groupNorm(x, w, groups);
        Tensor y = allocate(type, x.shape());
        normalisation.groupNorm(x.address(), w.scale, w.shift, y.address(), normWorkspace, x.batch(), x.positions(), w.channels,
                groups, epsilon, silu, stream);
        return y;
    }

    @Override
    public Joined joinedGroupNorm(Tensor a, Tensor b, Norm layer, int groups, float epsilon, boolean silu) {
        CudaNorm w = (CudaNorm) layer;
        int[] shape = arguments.joinedGroupNorm(a, b, w, groups);
        Joined both = new Joined(allocate(type, shape), allocate(type, shape));
        normalisation.joinedGroupNorm(a.address(), a.channels(), b.address(), b.channels(), both.map().address(), w.scale, w.shift,
                both.normed().address(), normWorkspace, a.batch(), a.positions(), groups, epsilon, silu, stream);
        return both;
    }

    @Override
    public Tensor layerNorm(Tensor x, Norm layer, float epsilon) {
        CudaNorm w = (CudaNorm) layer;
        arguments.layerNorm(x, w);
        Tensor y = allocate(type, x.shape());
        normalisation.layerNorm(x.address(), w.scale, w.shift, y.address(), rows(x), w.channels, epsilon, stream);
        return y;
    }

    @Override
    public Tensor attention(Tensor query, Tensor keys, Tensor values, int heads, boolean causal, Identity identity) {
        arguments.attention(query, keys, values, heads, causal, identity);
        int size = query.channels() / heads;
        Tensor out = allocate(type, query.shape());
        Attention.Shape shape = new Attention.Shape(query.batch(), heads, query.size(1), keys.size(1), size,
                (float) (1 / Math.sqrt(size)));
        Attention.Identity other = identity == null ? null : new Attention.Identity(strided(identity.keys(), size),
                strided(identity.values(), size), identity.keys().size(1), identity.keys().batch(), identity.rows().address(),
                identity.scales().address());
        attention.run(strided(query, size), strided(keys, size), strided(values, size), strided(out, size), shape, causal, other,
                stream);
        return out;
    }

    private static Strided strided(Tensor x, int headSize) {
        return new Strided(x.address(), x.positions() * x.rowStride(), Math.toIntExact(x.rowStride()), headSize);
    }

    // --- ends of the networks ---------------------------------------------------------------------------------------

    @Override
    public Tensor timestepEmbedding(Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift) {
        arguments.timestepEmbedding(timesteps, channels);
        int count = Math.toIntExact(timesteps.elements());
        Tensor y = allocate(type, count, channels);
        embeddings.timestep(timesteps.address(), y.address(), count, channels, flipSinToCos, frequencyShift, stream);
        return y;
    }

    @Override
    public Tensor embed(Table tokens, Table positions, int[][] ids) {
        CudaTable t = (CudaTable) tokens;
        CudaTable p = (CudaTable) positions;
        int length = arguments.embed(t, p, ids);
        int[] all = Arrays.stream(ids).flatMapToInt(Arrays::stream).toArray();
        Tensor y = allocate(type, ids.length, length, t.channels);
        embeddings.tokens(upload(all).address(), t.address, p.address, y.address(), ids.length, length, t.channels, t.rows,
                stream);
        return y;
    }

    @Override
    public Tensor toActivations(Tensor... latents) {
        Tensor activations = allocate(type, arguments.toActivations(latents));
        int row = 0;
        for (int i = 0; i < latents.length; i += Pointwise.MOST_ARRAYS) {
            List<Tensor> parts = Arrays.asList(latents).subList(i, Math.min(i + Pointwise.MOST_ARRAYS, latents.length));
            pointwise.toActivations(parts.stream().mapToLong(Tensor::address).toArray(),
                    parts.stream().mapToLong(Tensor::elements).toArray(), activations.rows(row, 1).address(), stream);
            row += parts.stream().mapToInt(Tensor::batch).sum();
        }
        return activations;
    }

    @Override
    public void ddimStep(Tensor latents, Tensor noise, Tensor guidance, Tensor factors) {
        arguments.ddimStep(latents, noise, guidance, factors);
        long prompt = guidance == null ? noise.address() : noise.address() + latents.elements() * Float.BYTES;
        sampling.ddimStep(latents.address(), guidance == null ? 0 : noise.address(), prompt, latents.address(),
                latents.elements() / latents.batch(), latents.batch(), address(guidance), factors.address(), stream);
    }

    /** What there is, the last first. */
    @Override
    public void close() {
        settle();
        closed = true;
        while (!closing.isEmpty()) {
            closing.pop().run();
        }
    }

    /** Waits until nothing uses what will be freed. A lost or closed device uses nothing any more. */
    void settle() {
        if (closed) {
            return;
        }
        try {
            driver.synchronize();
        } catch (CudaException e) {
            // Whoever used it has been told.
        }
    }
}
