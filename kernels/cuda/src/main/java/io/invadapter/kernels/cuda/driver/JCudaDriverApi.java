package io.invadapter.kernels.cuda.driver;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.IntSupplier;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUjit_option;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * The driver of a real GPU, by way of JCuda. It needs NVIDIA's driver ({@code libcuda.so.1}) and nothing else of CUDA.
 *
 * <p>Works in the device's primary context, which other libraries in the process (cuBLAS, cuDNN) share. Any thread may call;
 * each call makes that context the thread's current one.
 *
 * <p>Streams are made without the implicit order between them and the default stream: with it, whatever touches the default
 * stream would break a recording. Copies and fills of this class therefore wait for the whole device before and for
 * themselves after.
 */
public final class JCudaDriverApi implements CudaDriver {
    /** Copies go in pieces that a ByteBuffer can hold. */
    private static final long PIECE = 1L << 30;
    private static final int JIT_LOG_BYTES = 2048;
    /**
     * For each GPU, whose context all drivers in the process share: waiting for all of it spoils every recording of it, in whatever
     * mode and on whatever thread. Recordings hold it exclusively, what waits for the GPU shares it. A thread that records may wait,
     * and gets the driver's refusal.
     */
    private static final Map<Integer, ReadWriteLock> RECORDINGS = new ConcurrentHashMap<>();
    private static final int[] JIT_OPTIONS = {CUjit_option.CU_JIT_ERROR_LOG_BUFFER, CUjit_option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};

    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final String name;
    private final int capability;
    private final int multiprocessors;
    private final int sharedBytesPerBlock;
    private final int version;
    private final DriverErrors errors;
    private final ReadWriteLock recordings;
    private boolean closed;

    private JCudaDriverApi(int ordinal, int version) {
        this.version = version;
        recordings = RECORDINGS.computeIfAbsent(ordinal, gpu -> new ReentrantReadWriteLock());
        start("cuDeviceGet", JCudaDriver.cuDeviceGet(device, ordinal));
        byte[] text = new byte[256];
        start("cuDeviceGetName", JCudaDriver.cuDeviceGetName(text, text.length, device));
        int length = 0;
        while (length < text.length && text[length] != 0) {
            length++;
        }
        name = new String(text, 0, length, StandardCharsets.US_ASCII);
        errors = new DriverErrors("GPU " + ordinal + " (" + name + ")");
        capability = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10
                + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
        if (capability < 80) {
            throw new CudaException("GPU " + ordinal + " (" + name + ") is too old: it has compute capability "
                    + capability / 10 + "." + capability % 10 + ", 8.0 or newer is needed (GeForce RTX 30, A100 and later)");
        }
        multiprocessors = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        sharedBytesPerBlock = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
        check("cuDevicePrimaryCtxRetain", JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
    }

    /**
     * How many GPUs the driver knows.
     *
     * @throws CudaException when there is no driver or it cannot start
     */
    public static int deviceCount() {
        startVersion();
        return count();
    }

    private static int count() {
        int[] count = new int[1];
        start("cuDeviceGetCount", JCudaDriver.cuDeviceGetCount(count));
        return count[0];
    }

    private static boolean hasDriver() {
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup.libraryLookup("libcuda.so.1", arena);
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Starts the driver and tells its CUDA version. */
    static int startVersion() {
        if (!hasDriver()) {
            throw new CudaException("there is no NVIDIA driver: libcuda.so.1 is not found; install the driver of the GPU");
        }
        try {
            JCudaNatives.load(() -> JCudaDriver.setExceptionsEnabled(false));
        } catch (LinkageError e) {
            throw new CudaException("JCuda's native library could not be loaded: it is unpacked into "
                    + System.getProperty("java.io.tmpdir") + ", which must be writable and allow programs; java.io.tmpdir names"
                    + " another folder", e);
        }
        // Before anything else, and allowed before cuInit: an older driver may lack what comes next.
        int[] found = new int[1];
        start("cuDriverGetVersion", JCudaDriver.cuDriverGetVersion(found));
        DriverErrors.checkVersion(found[0]);
        start("cuInit", JCudaDriver.cuInit(0));
        return found[0];
    }

    /**
     * Opens the GPU with that number.
     *
     * @throws CudaException when there is no driver or an old one, no such GPU, or it is older than compute capability 8.0
     */
    public static JCudaDriverApi open(int ordinal) {
        int version = startVersion();
        int count = count();
        if (ordinal < 0 || ordinal >= count) {
            throw new CudaException("There is no GPU " + ordinal + ": the driver knows "
                    + (count == 0 ? "none" : count == 1 ? "only GPU 0" : "GPUs 0 to " + (count - 1)));
        }
        return new JCudaDriverApi(ordinal, version);
    }

    private int attribute(int which) {
        int[] value = new int[1];
        start("cuDeviceGetAttribute", JCudaDriver.cuDeviceGetAttribute(value, which, device));
        return value[0];
    }

    static void start(String call, int result) {
        if (result != DriverErrors.SUCCESS) {
            throw DriverErrors.startup(call, result, CUresult.stringFor(result));
        }
    }

    private void check(String call, int result) {
        if (result != DriverErrors.SUCCESS) {
            throw errors.failure(call, result, CUresult.stringFor(result));
        }
    }

    /** Before every call on the device. */
    private void enter() {
        errors.throwIfLost();
        if (closed) {
            throw new IllegalStateException("the driver was closed");
        }
        check("cuCtxSetCurrent", JCudaDriver.cuCtxSetCurrent(context));
    }

    /** Gives something back; nothing to do when the whole context or the device is gone, even if only noticed now. */
    private void release(String call, IntSupplier destroy) {
        if (errors.lost() || closed) {
            return;
        }
        try {
            enter();
            check(call, destroy.getAsInt());
        } catch (CudaException e) {
            if (!errors.lost()) {
                throw e;
            }
        }
    }

    @Override
    public String deviceName() {
        return name;
    }

    @Override
    public int computeCapability() {
        return capability;
    }

    @Override
    public int multiprocessors() {
        return multiprocessors;
    }

    @Override
    public int sharedBytesPerBlock() {
        return sharedBytesPerBlock;
    }

    @Override
    public int driverVersion() {
        return version;
    }

    @Override
    public void makeCurrent() {
        enter();
    }

    @Override
    public Memory memory() {
        enter();
        long[] free = new long[1];
        long[] total = new long[1];
        check("cuMemGetInfo", JCudaDriver.cuMemGetInfo(free, total));
        return new Memory(free[0], total[0]);
    }

    /** JCuda keeps a pointer's number to subclasses. */
    private static final class Address extends CUdeviceptr {
        long value() {
            return getNativePointer() + getByteOffset();
        }
    }

    /** JCuda makes no pointer from a number, but null plus an offset is one. */
    private static CUdeviceptr at(long address) {
        return new CUdeviceptr().withByteOffset(address);
    }

    @Override
    public long allocate(long bytes) {
        enter();
        Address address = new Address();
        int result = JCudaDriver.cuMemAlloc(address, bytes);
        if (result == DriverErrors.OUT_OF_MEMORY) {
            Memory memory = memory();
            throw new OutOfDeviceMemoryException("The GPU (" + name + ") has not enough memory: "
                    + DriverErrors.bytes(bytes) + " more were asked for, " + DriverErrors.bytes(memory.free()) + " of "
                    + DriverErrors.bytes(memory.total()) + " are free; make smaller or fewer pictures, or end other programs"
                    + " that use it");
        }
        check("cuMemAlloc of " + bytes + " bytes", result);
        return address.value();
    }

    @Override
    public void free(long address) {
        release("cuMemFree", () -> JCudaDriver.cuMemFree(at(address)));
    }

    /** A piece of host memory as JCuda wants it. */
    private static Pointer host(MemorySegment memory, long offset, long bytes) {
        ByteBuffer buffer = memory.asSlice(offset, bytes).asByteBuffer();
        if (!buffer.isDirect()) {
            throw new IllegalArgumentException("host memory is on the Java heap, expected a native segment");
        }
        return Pointer.to(buffer);
    }

    @Override
    public void copyIn(long address, MemorySegment source, long bytes) {
        betweenRecordings(() -> copyInNow(address, source, bytes));
    }

    private void copyInNow(long address, MemorySegment source, long bytes) {
        synchronize();
        for (long done = 0; done < bytes; done += PIECE) {
            long piece = Math.min(PIECE, bytes - done);
            check("cuMemcpyHtoD", JCudaDriver.cuMemcpyHtoD(at(address + done), host(source, done, piece), piece));
        }
        // From memory that is not page-locked the call returns when the source may change, perhaps before the data arrived.
        check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(null));
    }

    @Override
    public void copyOut(MemorySegment target, long address, long bytes) {
        betweenRecordings(() -> copyOutNow(target, address, bytes));
    }

    private void copyOutNow(MemorySegment target, long address, long bytes) {
        synchronize();
        for (long done = 0; done < bytes; done += PIECE) {
            long piece = Math.min(PIECE, bytes - done);
            check("cuMemcpyDtoH", JCudaDriver.cuMemcpyDtoH(host(target, done, piece), at(address + done), piece));
        }
    }

    @Override
    public void fill(long address, byte value, long bytes) {
        betweenRecordings(() -> {
            synchronize();
            check("cuMemsetD8", JCudaDriver.cuMemsetD8(at(address), value, bytes));
            // It returns before it is done.
            check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(null));
        });
    }

    private final class JCudaHostBuffer implements HostBuffer {
        private final Address pointer = new Address();
        private final MemorySegment segment;

        JCudaHostBuffer(long bytes) {
            enter();
            int result = JCudaDriver.cuMemHostAlloc(pointer, bytes, 0);
            if (result == DriverErrors.OUT_OF_MEMORY) {
                throw new CudaException(DriverErrors.bytes(bytes) + " of the computer's memory could not be page-locked");
            }
            check("cuMemHostAlloc of " + bytes + " bytes", result);
            segment = MemorySegment.ofAddress(pointer.value()).reinterpret(bytes);
        }

        @Override
        public MemorySegment segment() {
            return segment;
        }

        Pointer at(long offset, long bytes) {
            Objects.checkFromIndexSize(offset, bytes, segment.byteSize());
            return pointer.withByteOffset(offset);
        }

        @Override
        public void close() {
            release("cuMemFreeHost", () -> JCudaDriver.cuMemFreeHost(pointer));
        }
    }

    @Override
    public HostBuffer allocateHost(long bytes) {
        return new JCudaHostBuffer(bytes);
    }

    @Override
    public void copyIn(long address, HostBuffer source, long offset, long bytes, Stream stream) {
        Pointer host = ((JCudaHostBuffer) source).at(offset, bytes);
        enter();
        check("cuMemcpyHtoDAsync", JCudaDriver.cuMemcpyHtoDAsync(at(address), host, bytes, handle(stream)));
    }

    @Override
    public void copyOut(HostBuffer target, long offset, long address, long bytes, Stream stream) {
        Pointer host = ((JCudaHostBuffer) target).at(offset, bytes);
        enter();
        check("cuMemcpyDtoHAsync", JCudaDriver.cuMemcpyDtoHAsync(host, at(address), bytes, handle(stream)));
    }

    @Override
    public void copy(long target, long source, long bytes, Stream stream) {
        enter();
        check("cuMemcpyDtoDAsync", JCudaDriver.cuMemcpyDtoDAsync(at(target), at(source), bytes, handle(stream)));
    }

    private final class JCudaGraph implements Graph {
        private final CUgraphExec graph = new CUgraphExec();
        private final long[] nodes = new long[1];

        JCudaGraph(CUgraph recorded) {
            check("cuGraphGetNodes", JCudaDriver.cuGraphGetNodes(recorded, null, nodes));
            check("cuGraphInstantiate", JCudaDriver.cuGraphInstantiate(graph, recorded, 0));
        }

        @Override
        public void launch(Stream stream) {
            enter();
            check("cuGraphLaunch", JCudaDriver.cuGraphLaunch(graph, handle(stream)));
        }

        @Override
        public int nodes() {
            return Math.toIntExact(nodes[0]);
        }

        @Override
        public void close() {
            release("cuGraphExecDestroy", () -> JCudaDriver.cuGraphExecDestroy(graph));
        }
    }

    @Override
    public Graph record(Stream stream, Runnable work) {
        CUstream recorded = Objects.requireNonNull(handle(stream), "the default stream cannot be recorded");
        recordings.writeLock().lock();
        try {
            return record(recorded, work);
        } finally {
            recordings.writeLock().unlock();
        }
    }

    private Graph record(CUstream recorded, Runnable work) {
        enter();
        // Thread-local: other threads may allocate, free and load meanwhile.
        check("cuStreamBeginCapture", JCudaDriver.cuStreamBeginCapture(recorded,
                CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        CUgraph graph = new CUgraph();
        try {
            work.run();
        } catch (RuntimeException | Error e) {
            // Whether the recording is still valid or not, ending it makes the stream usable; there is a graph only in the
            // first case.
            if (JCudaDriver.cuStreamEndCapture(recorded, graph) == DriverErrors.SUCCESS) {
                JCudaDriver.cuGraphDestroy(graph);
            }
            throw e;
        }
        check("what was given to the stream", JCudaDriver.cuStreamEndCapture(recorded, graph));
        try {
            return new JCudaGraph(graph);
        } finally {
            JCudaDriver.cuGraphDestroy(graph);
        }
    }

    @Override
    public Module load(String name, String ptx) {
        enter();
        CUmodule module = new CUmodule();
        // In native memory: an array would be pinned, and with some collectors hold up the whole process, for as long as it takes.
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment image = arena.allocateFrom(ptx, StandardCharsets.US_ASCII);
            MemorySegment log = arena.allocate(JIT_LOG_BYTES);
            MemorySegment values = arena.allocateFrom(ValueLayout.JAVA_LONG, log.address(), JIT_LOG_BYTES);
            int result = JCudaDriver.cuModuleLoadDataEx(module, host(image, 0, image.byteSize()), JIT_OPTIONS.length, JIT_OPTIONS,
                    host(values, 0, values.byteSize()));
            if (result != DriverErrors.SUCCESS) {
                String reason = log.getString(0, StandardCharsets.US_ASCII).strip().replaceAll("\\s+", " ");
                throw errors.failure("cuModuleLoadDataEx of " + name, result,
                        CUresult.stringFor(result) + (reason.isEmpty() ? "" : ": " + reason));
            }
        }
        return wanted -> {
            enter();
            CUfunction function = new CUfunction();
            check("cuModuleGetFunction of " + wanted, JCudaDriver.cuModuleGetFunction(function, module, wanted));
            return new JCudaFunction(wanted, function);
        };
    }

    private final class JCudaFunction implements Function {
        private final String name;
        private final CUfunction function;

        JCudaFunction(String name, CUfunction function) {
            this.name = name;
            this.function = function;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public void allowSharedBytes(int bytes) {
            enter();
            check("cuFuncSetAttribute of " + name + " to " + bytes + " bytes of shared memory",
                    JCudaDriver.cuFuncSetAttribute(function,
                            CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes));
        }
    }

    /** JCuda keeps a handle's number to subclasses. */
    private static final class StreamHandle extends CUstream {
        long value() {
            return getNativePointer();
        }
    }

    private final class JCudaStream implements Stream {
        private final StreamHandle stream = new StreamHandle();

        JCudaStream() {
            enter();
            check("cuStreamCreate", JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING));
        }

        @Override
        public long handle() {
            return stream.value();
        }

        @Override
        public void synchronize() {
            enter();
            check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(stream));
        }

        @Override
        public void close() {
            release("cuStreamDestroy", () -> JCudaDriver.cuStreamDestroy(stream));
        }
    }

    private final class JCudaEvent implements Event {
        private final CUevent event = new CUevent();

        JCudaEvent() {
            enter();
            check("cuEventCreate", JCudaDriver.cuEventCreate(event, 0));
        }

        @Override
        public void record(Stream stream) {
            enter();
            check("cuEventRecord", JCudaDriver.cuEventRecord(event, handle(stream)));
        }

        @Override
        public void synchronize() {
            enter();
            check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(event));
        }

        @Override
        public float millisecondsSince(Event earlier) {
            enter();
            float[] milliseconds = new float[1];
            check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(event));
            check("cuEventElapsedTime",
                    JCudaDriver.cuEventElapsedTime(milliseconds, ((JCudaEvent) earlier).event, event));
            return milliseconds[0];
        }

        @Override
        public void close() {
            release("cuEventDestroy", () -> JCudaDriver.cuEventDestroy(event));
        }
    }

    private static CUstream handle(Stream stream) {
        return stream == null ? null : ((JCudaStream) stream).stream;
    }

    @Override
    public Stream newStream() {
        return new JCudaStream();
    }

    @Override
    public Event newEvent() {
        return new JCudaEvent();
    }

    @Override
    public void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters) {
        enter();
        Pointer[] pointers = parameters.separate().stream().map(Pointer::to).toArray(Pointer[]::new);
        check("launch of " + function.name(),
                JCudaDriver.cuLaunchKernel(((JCudaFunction) function).function, grid.x(), grid.y(), grid.z(), threads, 1, 1,
                        sharedBytes, handle(stream), Pointer.to(pointers), null));
    }

    @Override
    public void synchronize() {
        betweenRecordings(() -> {
            enter();
            check("cuCtxSynchronize", JCudaDriver.cuCtxSynchronize());
        });
    }

    @Override
    public void betweenRecordings(Runnable work) {
        recordings.readLock().lock();
        try {
            work.run();
        } finally {
            recordings.readLock().unlock();
        }
    }

    /** Gives the device's primary context back; what was loaded and allocated goes with it when nobody else holds it. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            int result = JCudaDriver.cuDevicePrimaryCtxRelease(device);
            if (!errors.lost()) {
                check("cuDevicePrimaryCtxRelease", result);
            }
        }
    }
}
