package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.TensorPool;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * An NVIDIA GPU: matrix products by cuBLAS, convolutions by cuDNN, everything else by the kernels of this module, all on one
 * stream. Feature maps are channels-last throughout.
 */
final class CudaDevice implements Device {
    /** What NVIDIA recommends for compute capability 9.0; older chips need less. */
    private static final long BLAS_WORKSPACE_BYTES = 32L << 20;
    /** The most that one convolution may take besides its operands. */
    private static final long CONVOLUTION_WORKSPACE_BYTES = 512L << 20;

    private record CudaLinear(int inFeatures, int outFeatures, long weight, long bias) implements Linear {
    }

    /** @param outFeatures of the product of value and gate; the weights have twice as many rows */
    private record CudaGatedLinear(int inFeatures, int outFeatures, long weight, long bias) implements GatedLinear {
    }

    private record CudaTokenMixer(int inTokens, int outTokens, long weight) implements TokenMixer {
    }

    private record CudaConvolution(int inChannels, int outChannels, int kernelHeight, int kernelWidth, int stride,
                                   Padding padding, DataType outputType, long weight, long bias) implements Convolution {
    }

    private record CudaNorm(int channels, long scale, long shift) implements Norm {
    }

    private record CudaTable(int rows, int channels, long address) implements Table {
    }

    private record Workspace(long address, long bytes) {
    }

    private final String name;
    private final Precision precision;
    private final DataType type;
    private final CudaDriver driver;
    private final Blas blas;
    private final Dnn dnn;
    private final CudaDriver.Stream stream;
    private final Staging staging;
    private final WeightMemory weights;
    private final Pointwise pointwise;
    private final Normalisation normalisation;
    private final Attention attention;
    private final Embeddings embeddings;
    private final Sampling sampling;
    private final TensorPool requestPool;
    private final Map<Dnn.Shape, Dnn.Plan> plans = new HashMap<>();
    /** Memory that may be named by recorded graphs: freed with the device only. */
    private final List<Long> lasting = new ArrayList<>();
    private final Map<Integer, Workspace> normWorkspaces = new HashMap<>();
    private TensorPool pool;

    /** Takes over driver, blas and dnn: they are closed with the device, or at once when this fails. */
    CudaDevice(String name, Precision precision, CudaDriver driver, Blas blas, Dnn dnn) {
        this.name = name;
        this.precision = precision;
        this.type = precision.type();
        this.driver = driver;
        this.blas = blas;
        this.dnn = dnn;
        try {
            KernelLibrary library = new KernelLibrary(driver, type);
            pointwise = new Pointwise(library);
            normalisation = new Normalisation(library);
            attention = new Attention(library);
            embeddings = new Embeddings(library);
            sampling = new Sampling(library);
            stream = driver.newStream();
            staging = new Staging(driver, stream);
            weights = new WeightMemory(driver);
            requestPool = new TensorPool(memory());
            pool = requestPool;
            blas.setWorkspace(lasting(BLAS_WORKSPACE_BYTES), BLAS_WORKSPACE_BYTES);
        } catch (RuntimeException | Error e) {
            closeLibraries();
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
                + blas.description() + ", " + dnn.description();
    }

    @Override
    public Precision precision() {
        return precision;
    }

    CudaDriver driver() {
        return driver;
    }

    CudaDriver.Stream stream() {
        return stream;
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
        driver.synchronize();
        requestPool.trim();
    }

    @Override
    public long freeMemory() {
        return driver.memory().free() + requestPool.bytesFree();
    }

    @Override
    public Tensor upload(DataType elementType, float[] values, int... shape) {
        Tensor tensor = allocate(elementType, shape);
        write(tensor, values);
        return tensor;
    }

    @Override
    public Tensor upload(int[] values) {
        Tensor tensor = allocate(DataType.INT32, values.length);
        write(tensor, values);
        return tensor;
    }

    @Override
    public void write(Tensor target, float[] values) {
        check(target.elements() == values.length, "%s values for %s", values.length, target);
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
        check(target.type() == DataType.INT32 && target.elements() == values.length, "%s indices for %s", values.length, target);
        write(target, MemorySegment.ofArray(values));
    }

    @Override
    public void write(Tensor target, MemorySegment bytes) {
        check(target.isContiguous() && bytes.byteSize() == bytes(target), "%s bytes for %s", bytes.byteSize(), target);
        staging.copy(bytes, target.address());
    }

    @Override
    public float[] download(Tensor tensor) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(bytes(tensor), 64);
            read(tensor, bytes);
            return Floats.read(bytes, tensor.type(), Math.toIntExact(tensor.elements()));
        }
    }

    @Override
    public void read(Tensor source, MemorySegment bytes) {
        check(source.isContiguous() && bytes.byteSize() == bytes(source), "%s bytes from %s", bytes.byteSize(), source);
        driver.copyOut(bytes, source.address(), bytes.byteSize());
    }

    @Override
    public void copy(Tensor source, Tensor target) {
        check(source.isContiguous() && target.isContiguous() && source.type() == target.type()
                && source.elements() == target.elements(), "%s copied over %s", source, target);
        driver.copy(target.address(), source.address(), bytes(source), stream);
    }

    private static long bytes(Tensor tensor) {
        return tensor.elements() * tensor.type().bytes();
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

    private long store(HostTensor weight) {
        return weight == null ? 0 : weights.store(type, weight);
    }

    @Override
    public Linear linear(HostTensor weight, HostTensor bias) {
        return new CudaLinear(weight.shape()[1], weight.shape()[0], store(weight), store(bias));
    }

    @Override
    public GatedLinear gatedLinear(HostTensor weight, HostTensor bias) {
        return new CudaGatedLinear(weight.shape()[1], weight.shape()[0] / 2, store(weight), store(bias));
    }

    @Override
    public TokenMixer tokenMixer(HostTensor weight) {
        return new CudaTokenMixer(weight.shape()[1], weight.shape()[0], store(weight));
    }

    @Override
    public Convolution convolution(HostTensor weight, HostTensor bias, int stride, Padding padding, DataType outputType) {
        int[] shape = weight.shape();
        HostTensor shift = bias != null ? bias : HostTensor.of(new float[shape[0]], shape[0]);
        return new CudaConvolution(shape[1], shape[0], shape[2], shape[3], stride, padding, outputType,
                weights.storeChannelsLast(type, weight), store(shift));
    }

    @Override
    public Norm norm(HostTensor weight, HostTensor bias) {
        return new CudaNorm(weight.shape()[0], store(weight), store(bias));
    }

    @Override
    public Table table(HostTensor weight) {
        return new CudaTable(weight.shape()[0], weight.shape()[1], store(weight));
    }

    // --- matrix products --------------------------------------------------------------------------------------------

    @Override
    public Tensor linear(Tensor x, Linear layer, Activation activation, Tensor residual) {
        CudaLinear w = (CudaLinear) layer;
        Tensor y = product(x, w.inFeatures, w.outFeatures, w.weight);
        check(residual == null || residual.isContiguous() && residual.elements() == y.elements(), "a residual of %s for %s",
                residual, y);
        if (w.bias != 0 || activation != Activation.NONE || residual != null) {
            pointwise.add(y.address(), w.bias, activation, 0, address(residual), y.address(), 1, rows(y), w.outFeatures, stream);
        }
        return y;
    }

    @Override
    public Tensor gatedLinear(Tensor x, GatedLinear layer) {
        CudaGatedLinear w = (CudaGatedLinear) layer;
        Tensor both = product(x, w.inFeatures, 2 * w.outFeatures, w.weight);
        int[] shape = x.shape();
        shape[shape.length - 1] = w.outFeatures;
        Tensor y = allocate(type, shape);
        pointwise.geglu(both.address(), w.bias, y.address(), rows(y), w.outFeatures, stream);
        return y;
    }

    /** {@code x W^T}: to cuBLAS, which thinks in columns, {@code y^T = W x^T}. */
    private Tensor product(Tensor x, int in, int out, long weight) {
        check(x.type() == type && x.channels() == in && x.isContiguous(), "a linear layer for %s features is given %s", in, x);
        int[] shape = x.shape();
        shape[shape.length - 1] = out;
        Tensor y = allocate(type, shape);
        blas.multiply(true, false, out, rows(x), in, 1, new Blas.Matrix(weight, in, 0), new Blas.Matrix(x.address(), in, 0), 0,
                new Blas.Matrix(y.address(), out, 0), type, 1, stream);
        return y;
    }

    private static int rows(Tensor x) {
        return Math.toIntExact(x.elements() / x.channels());
    }

    private static long address(Tensor tensor) {
        return tensor == null ? 0 : tensor.address();
    }

    @Override
    public Tensor mixTokens(Tensor x, TokenMixer a) {
        CudaTokenMixer mixer = (CudaTokenMixer) a;
        check(x.type() == type && x.rank() == 3 && x.size(1) == mixer.inTokens && x.isContiguous(),
                "a mixer of %s tokens is given %s", mixer.inTokens, x);
        int channels = x.channels();
        Tensor y = allocate(type, x.batch(), mixer.outTokens, channels);
        // y^T = x^T A^T for each row of the batch.
        blas.multiply(false, false, channels, mixer.outTokens, mixer.inTokens, 1,
                new Blas.Matrix(x.address(), channels, (long) mixer.inTokens * channels),
                new Blas.Matrix(mixer.weight, mixer.inTokens, 0), 0,
                new Blas.Matrix(y.address(), channels, (long) mixer.outTokens * channels), type, x.batch(), stream);
        return y;
    }

    // --- convolutions -----------------------------------------------------------------------------------------------

    @Override
    public Tensor conv2d(Tensor x, Convolution layer, Tensor shift, Tensor residual) {
        CudaConvolution w = (CudaConvolution) layer;
        check(x.type() == type && x.rank() == 4 && x.channels() == w.inChannels && x.isContiguous(),
                "a convolution of %s channels is given %s", w.inChannels, x);
        Padding p = w.padding;
        boolean even = p.top() == p.bottom() && p.left() == p.right() && p.top() == p.left();
        // cuDNN pads both sides alike; anything else is padded beforehand.
        Tensor input = even ? x : padded(x, p);
        Dnn.Shape shape = new Dnn.Shape(type, x.batch(), input.size(1), input.size(2), w.inChannels, w.outChannels,
                w.kernelHeight, w.kernelWidth, w.stride, even ? p.top() : 0, residual != null);
        check(shape.outHeight() > 0 && shape.outWidth() > 0, "a convolution of %s x %s is given %s", w.kernelHeight,
                w.kernelWidth, x);
        Tensor y = allocate(type, x.batch(), shape.outHeight(), shape.outWidth(), w.outChannels);
        check(residual == null || residual.type() == type && Arrays.equals(residual.shape(), y.shape()),
                "a residual of %s for %s", residual, y);
        Dnn.Plan plan = plan(shape);
        long workspace = plan.workspaceBytes() == 0 ? 0
                : allocate(DataType.FLOAT32, Math.toIntExact(Math.ceilDiv(plan.workspaceBytes(), Float.BYTES))).address();
        plan.run(input.address(), w.weight, shift == null ? w.bias : shifted(w, shift), address(residual), y.address(), workspace,
                stream);
        return w.outputType == DataType.FLOAT32 && type != DataType.FLOAT32 ? toFloat(y) : y;
    }

    private Dnn.Plan plan(Dnn.Shape shape) {
        Dnn.Plan plan = plans.get(shape);
        if (plan == null) {
            try {
                plan = dnn.plan(shape, CONVOLUTION_WORKSPACE_BYTES);
            } catch (OutOfDeviceMemoryException e) {
                trim();
                plan = dnn.plan(shape, CONVOLUTION_WORKSPACE_BYTES);
            }
            plans.put(shape, plan);
        }
        return plan;
    }

    private Tensor padded(Tensor x, Padding p) {
        Tensor y = allocate(type, x.batch(), x.size(1) + p.top() + p.bottom(), x.size(2) + p.left() + p.right(), x.channels());
        pointwise.pad(x.address(), y.address(), x.batch(), x.size(1), x.size(2), x.channels(), p, stream);
        return y;
    }

    /** The layer's bias and the shift in one vector: what every position gets is a bias too. */
    private long shifted(CudaConvolution w, Tensor shift) {
        check(shift.type() == type && shift.elements() == w.outChannels, "a shift of %s for %s channels", shift, w.outChannels);
        Tensor sum = allocate(type, w.outChannels);
        pointwise.add(shift.address(), w.bias, Activation.NONE, 0, 0, sum.address(), 1, 1, w.outChannels, stream);
        return sum.address();
    }

    private Tensor toFloat(Tensor x) {
        Tensor y = allocate(DataType.FLOAT32, x.shape());
        pointwise.toFloat(x.address(), y.address(), x.elements(), stream);
        return y;
    }

    @Override
    public Tensor upsample2x(Tensor x, int height, int width) {
        check(x.type() == type && x.rank() == 4 && (height + 1) / 2 == x.size(1) && (width + 1) / 2 == x.size(2) && x.isContiguous(),
                "%s cannot be doubled to %s x %s", x, height, width);
        Tensor y = allocate(type, x.batch(), height, width, x.channels());
        pointwise.upsample(x.address(), y.address(), x.batch(), x.size(1), x.size(2), height, width, x.channels(), stream);
        return y;
    }

    @Override
    public Tensor concatChannels(Tensor a, Tensor b) {
        check(a.type() == type && b.type() == type && a.batch() == b.batch() && a.positions() == b.positions()
                && a.isContiguous() && b.isContiguous(), "cannot join %s and %s", a, b);
        int[] shape = a.shape();
        shape[shape.length - 1] += b.channels();
        Tensor y = allocate(type, shape);
        pointwise.concat(a.address(), b.address(), y.address(), rows(a), a.channels(), b.channels(), stream);
        return y;
    }

    // --- norms and attention ----------------------------------------------------------------------------------------

    @Override
    public Tensor groupNorm(Tensor x, Norm layer, int groups, float epsilon, boolean silu) {
        CudaNorm w = (CudaNorm) layer;
        check(x.type() == type && x.channels() == w.channels && w.channels % groups == 0 && x.isContiguous(),
                "a group norm of %s channels in %s groups is given %s", w.channels, groups, x);
        Tensor y = allocate(type, x.shape());
        long workspace = normWorkspace(x.batch(),
                normalisation.groupNormWorkspaceBytes(x.batch(), x.positions(), w.channels, groups));
        normalisation.groupNorm(x.address(), w.scale, w.shift, y.address(), workspace, x.batch(), x.positions(), w.channels,
                groups, epsilon, silu, stream);
        return y;
    }

    /**
     * The kernel counts on zeros before the first use and leaves them behind, at a place that depends on the batch only: so
     * each batch has its own.
     */
    private long normWorkspace(int batch, long bytes) {
        Workspace known = normWorkspaces.get(batch);
        if (known == null || known.bytes < bytes) {
            known = new Workspace(lasting(bytes), bytes);
            driver.fill(known.address, (byte) 0, bytes);
            normWorkspaces.put(batch, known);
        }
        return known.address;
    }

    @Override
    public Tensor layerNorm(Tensor x, Norm layer, float epsilon) {
        CudaNorm w = (CudaNorm) layer;
        check(x.type() == type && x.channels() == w.channels && x.isContiguous(), "a layer norm of %s channels is given %s",
                w.channels, x);
        Tensor y = allocate(type, x.shape());
        normalisation.layerNorm(x.address(), w.scale, w.shift, y.address(), rows(x), w.channels, epsilon, stream);
        return y;
    }

    @Override
    public Tensor attention(Tensor query, Tensor keys, Tensor values, int heads, boolean causal, Identity identity) {
        check(query.type() == type && query.rank() == 3 && query.channels() % heads == 0, "%s heads for %s", heads, query);
        check(keys.type() == type && values.type() == type && keys.rank() == 3 && keys.batch() == query.batch()
                && keys.channels() == query.channels() && Arrays.equals(keys.shape(), values.shape()),
                "keys of %s and values of %s for %s", keys, values, query);
        check(!causal || keys.size(1) == query.size(1), "a causal mask for %s and %s", query, keys);
        check(!causal || identity == null, "a causal mask with an identity for %s", query);
        int size = query.channels() / heads;
        Tensor out = allocate(type, query.shape());
        Attention.Shape shape = new Attention.Shape(query.batch(), heads, query.size(1), keys.size(1), size,
                (float) (1 / Math.sqrt(size)));
        Strided q = strided(query, size);
        Strided k = strided(keys, size);
        Strided v = strided(values, size);
        if (identity == null) {
            attention.attention(q, k, v, strided(out, size), shape, causal, stream);
            return out;
        }
        Tensor own = identity.keys();
        check(own.type() == type && own.channels() == query.channels() && Arrays.equals(own.shape(), identity.values().shape())
                && identity.rows().type() == DataType.INT32 && identity.rows().elements() == query.batch()
                && identity.scales().type() == DataType.FLOAT32 && identity.scales().elements() == query.batch(),
                "identity %s for %s", identity, query);
        attention.eaaAttention(q, k, v, strided(out, size), new Attention.Identity(strided(own, size),
                strided(identity.values(), size), own.size(1), own.batch(), identity.rows().address(),
                identity.scales().address()), shape, stream);
        return out;
    }

    private static Strided strided(Tensor x, int headSize) {
        return new Strided(x.address(), x.positions() * x.rowStride(), Math.toIntExact(x.rowStride()), headSize);
    }

    // --- ends of the networks ---------------------------------------------------------------------------------------

    @Override
    public Tensor timestepEmbedding(Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift) {
        int count = Math.toIntExact(timesteps.elements());
        Tensor y = allocate(type, count, channels);
        embeddings.timestep(timesteps.address(), y.address(), count, channels, flipSinToCos, frequencyShift, stream);
        return y;
    }

    @Override
    public Tensor embed(Table tokens, Table positions, int[][] ids) {
        CudaTable t = (CudaTable) tokens;
        CudaTable p = (CudaTable) positions;
        int length = ids[0].length;
        check(length <= p.rows && t.channels == p.channels, "%s tokens, of %s positions at most", length, p.rows);
        int[] all = new int[ids.length * length];
        for (int row = 0; row < ids.length; row++) {
            check(ids[row].length == length, "texts of %s and %s tokens", length, ids[row].length);
            for (int i = 0; i < length; i++) {
                check(ids[row][i] >= 0 && ids[row][i] < t.rows, "token %s of a vocabulary of %s", ids[row][i], t.rows);
                all[row * length + i] = ids[row][i];
            }
        }
        Tensor y = allocate(type, ids.length, length, t.channels);
        embeddings.tokens(upload(all).address(), t.address, p.address, y.address(), ids.length, length, t.channels, t.rows,
                stream);
        return y;
    }

    @Override
    public Tensor toActivations(Tensor... latents) {
        int[] shape = latents[0].shape();
        shape[0] = 0;
        for (Tensor part : latents) {
            check(part.type() == DataType.FLOAT32 && part.isContiguous()
                    && Arrays.equals(part.shape(), 1, part.rank(), shape, 1, shape.length), "%s below %s", part, latents[0]);
            shape[0] += part.batch();
        }
        Tensor activations = allocate(type, shape);
        int row = 0;
        for (Tensor part : latents) {
            Tensor target = activations.rows(row, part.batch());
            if (type == DataType.FLOAT32) {
                copy(part, target);
            } else {
                pointwise.toActivations(part.address(), target.address(), part.elements(), stream);
            }
            row += part.batch();
        }
        return activations;
    }

    @Override
    public void ddimStep(Tensor latents, Tensor noise, Tensor guidance, Tensor factors) {
        int rows = guidance == null ? 1 : 2;
        check(latents.type() == DataType.FLOAT32 && noise.type() == DataType.FLOAT32
                && noise.elements() == rows * latents.elements() && factors.elements() == 2
                && (guidance == null || guidance.elements() == latents.batch()), "noise of %s for latents of %s", noise, latents);
        long prompt = guidance == null ? noise.address() : noise.address() + latents.elements() * Float.BYTES;
        sampling.ddimStep(latents.address(), guidance == null ? 0 : noise.address(), prompt, DataType.FLOAT32, latents.address(),
                latents.elements() / latents.batch(), latents.batch(), address(guidance), factors.address(), stream);
    }

    private static void check(boolean condition, String message, Object... arguments) {
        if (!condition) {
            throw new IllegalArgumentException(message.formatted(arguments));
        }
    }

    @Override
    public void close() {
        requestPool.close();
        weights.close();
        staging.close();
        lasting.forEach(driver::free);
        lasting.clear();
        stream.close();
        closeLibraries();
    }

    private void closeLibraries() {
        dnn.close();
        blas.close();
        driver.close();
    }
}
