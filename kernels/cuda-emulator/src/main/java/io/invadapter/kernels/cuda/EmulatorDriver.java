package io.invadapter.kernels.cuda;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;
import io.invadapter.kernels.cuda.ptx.Counters;
import io.invadapter.kernels.cuda.ptx.Dim;
import io.invadapter.kernels.cuda.ptx.Emulator;
import io.invadapter.kernels.cuda.ptx.Kernel;
import io.invadapter.kernels.cuda.ptx.PtxModule;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The emulator as a driver. Launches on the default stream run at once and to their end; work on other streams waits until
 * somebody waits for it. Each launch leaves its counters in {@link #launches()}. New memory counts as never written.
 */
public final class EmulatorDriver implements CudaDriver {
    /** Decoding takes longer than most launches, and a decoded module serves any number of emulators. */
    private static final Map<String, PtxModule> DECODED = new ConcurrentHashMap<>();
    private static final int DEFAULT_SHARED_BYTES = 48 * 1024;
    /** The most that every chip from compute capability 8.0 on has for one block (8.6, 8.9 and 12.0). */
    private static final int SHARED_BYTES_EVERYWHERE = 99 * 1024;
    private static final long DEFAULT_MEMORY = 16L << 30;
    /** An A100's. */
    private static final int DEFAULT_MULTIPROCESSORS = 108;
    /** A driver hands memory out in multiples of this. */
    private static final int GRANULE = 512;
    /** What a kernel or a copy pretends to take: so long that few runs of it are enough to time it. */
    private static final long DEVICE_NANOS = 100_000_000;
    private static final long HOST_NANOS = 4_000;
    private static final long ALLOCATION_NANOS = 100_000;

    /** A finished launch. */
    record Launch(String kernel, Counters counters) {
    }

    private final Emulator emulator;
    private final boolean keep;
    private final List<Launch> launches = new ArrayList<>();
    private final List<String> started = new ArrayList<>();
    private long launched;
    private long threadInstructions;
    private final List<EmulatedStream> streams = new ArrayList<>();
    private final Map<Long, Long> sizes = new HashMap<>();
    private int handles;
    private long streamsMade;
    private long totalMemory = DEFAULT_MEMORY;
    private int multiprocessors = DEFAULT_MULTIPROCESSORS;
    private int sharedBytesPerBlock = SHARED_BYTES_EVERYWHERE;
    private long usedMemory;
    private final EmulatedClock clock = new EmulatedClock();
    private boolean closed;
    private long deviceNanos = DEVICE_NANOS;
    private EmulatedStream recorded;
    private Thread recorder;
    /** What was done that a recording forbids, or null. */
    private String spoiltBy;

    /** On that emulator; modules are kept decoded beyond this driver's life if {@code keep}. */
    EmulatorDriver(Emulator emulator, boolean keep) {
        this.emulator = emulator;
        this.keep = keep;
    }

    /** Kernels and copies pretend to take that long from now on. */
    void kernelsTake(long microseconds) {
        deviceNanos = microseconds * 1000;
    }

    /** What the launches so far counted; none are kept for an emulator that does not count. */
    List<Launch> launches() {
        return launches;
    }

    /** How many kernels have run so far. */
    long launched() {
        return launched;
    }

    /** Instructions of threads so far. */
    long threadInstructions() {
        return threadInstructions;
    }

    /** Pretends to be a device with that much memory. */
    void totalMemory(long bytes) {
        totalMemory = bytes;
    }

    /** Pretends to be a device with that many multiprocessors, on each of which a block may have that much shared memory. */
    void chip(int multiprocessors, int sharedBytesPerBlock) {
        this.multiprocessors = multiprocessors;
        this.sharedBytesPerBlock = sharedBytesPerBlock;
    }

    /** Device memory that is allocated now, rounded up as the driver does. */
    long usedMemory() {
        return usedMemory;
    }

    /** Page-locked buffers, streams, events and graphs that are open now. */
    int openHandles() {
        return handles + streams.size();
    }

    /** The emulator, for what reads and writes its memory itself. */
    Emulator emulator() {
        return emulator;
    }

    @Override
    public String deviceName() {
        return "PTX emulator";
    }

    @Override
    public int computeCapability() {
        return 80;
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
        return 12060;
    }

    /** Before everything but giving back. */
    private void enter() {
        if (closed) {
            throw new IllegalStateException("the driver was closed");
        }
    }

    // ---- order ---------------------------------------------------------------------------------------------------

    /** Gives work to a stream, null for the default one, which does it at once. */
    void submit(String name, Stream stream, Runnable work) {
        submit(stream, new EmulatedWork(name, work, deviceNanos, HOST_NANOS));
    }

    /** The same, with the time that it pretends to take. */
    void submit(Stream stream, EmulatedWork work) {
        enter();
        if (stream == null) {
            if (does(work)) {
                work.run().run();
            }
        } else {
            ((EmulatedStream) stream).add(work);
        }
    }

    /** Whether work that starts now is done, not only counted. */
    boolean does(EmulatedWork work) {
        if (emulator.isBlank()) {
            started.add(work.name());
            return false;
        }
        return true;
    }

    /** The names of all work so far, in order; none where it is done. */
    List<String> started() {
        return started;
    }

    /** Made-up time. */
    EmulatedClock clock() {
        return clock;
    }

    /** Whether work given to that stream is recorded now. */
    boolean isRecording(Stream stream) {
        return stream != null && stream == recorded;
    }

    /** Refuses what the thread that records cannot do meanwhile, and spoils the recording, as CUDA does. */
    void notRecordable(String what) {
        if (recorded != null && Thread.currentThread() == recorder) {
            spoiltBy = what;
            throw new CudaException(what + " cannot be done while a graph is recorded");
        }
    }

    void forget(EmulatedStream stream) {
        streams.remove(stream);
    }

    /** Nothing says which stream is faster; the last one made goes first, so that nobody relies on the usual order. */
    private void finishAll() {
        for (EmulatedStream stream : List.copyOf(streams).reversed()) {
            stream.run(null);
        }
    }

    @Override
    public void synchronize() {
        enter();
        notRecordable("waiting for the device");
        finishAll();
    }

    @Override
    public Stream newStream() {
        enter();
        notRecordable("making a stream");
        EmulatedStream stream = new EmulatedStream(this, ++streamsMade);
        streams.add(stream);
        return stream;
    }

    private final class EmulatedEvent implements Event {
        private EmulatedStream stream;
        private Runnable mark;
        private boolean passed;
        private long nanos;

        EmulatedEvent() {
            handles++;
        }

        @Override
        public void record(Stream stream) {
            enter();
            notRecordable("setting an event");
            Runnable set = () -> passed = true;
            this.stream = (EmulatedStream) stream;
            mark = set;
            passed = false;
            if (stream == null) {
                set.run();
                nanos = clock.mark(0);
            } else {
                nanos = this.stream.mark(set);
            }
        }

        @Override
        public void synchronize() {
            enter();
            notRecordable("waiting for an event");
            if (mark != null && !passed) {
                stream.run(mark);
                clock.waitUntil(nanos);
            }
        }

        @Override
        public float millisecondsSince(Event earlier) {
            EmulatedEvent start = (EmulatedEvent) earlier;
            if (mark == null || start.mark == null) {
                throw new CudaException("the time between events of which one was never set");
            }
            start.synchronize();
            synchronize();
            return (nanos - start.nanos) / 1e6f;
        }

        @Override
        public void close() {
            notRecordable("destroying an event");
            handles--;
        }
    }

    @Override
    public Event newEvent() {
        enter();
        notRecordable("making an event");
        return new EmulatedEvent();
    }

    private final class EmulatedGraph implements Graph {
        private final List<EmulatedWork> work;
        private boolean closed;

        EmulatedGraph(List<EmulatedWork> work) {
            this.work = work;
            handles++;
        }

        @Override
        public void launch(Stream stream) {
            if (closed) {
                throw new IllegalStateException("use of a closed graph");
            }
            if (stream == null) {
                work.forEach(piece -> submit(null, piece));
            } else {
                ((EmulatedStream) stream).replay(work);
            }
        }

        @Override
        public int nodes() {
            return work.size();
        }

        @Override
        public void close() {
            if (!closed) {
                closed = true;
                handles--;
            }
        }
    }

    @Override
    public Graph record(Stream stream, Runnable work) {
        enter();
        notRecordable("another recording");
        recorded = (EmulatedStream) Objects.requireNonNull(stream, "the default stream cannot be recorded");
        recorder = Thread.currentThread();
        spoiltBy = null;
        recorded.beginRecording();
        List<EmulatedWork> all;
        try {
            work.run();
        } finally {
            all = recorded.endRecording();
            recorded = null;
        }
        if (spoiltBy != null) {
            throw new CudaException("the recording is spoilt by " + spoiltBy);
        }
        return new EmulatedGraph(all);
    }

    // ---- memory --------------------------------------------------------------------------------------------------

    @Override
    public void makeCurrent() {
        // There is only this one.
    }

    @Override
    public Memory memory() {
        enter();
        return new Memory(totalMemory - usedMemory, totalMemory);
    }

    @Override
    public long allocate(long bytes) {
        enter();
        notRecordable("allocating memory");
        if (bytes < 1) {
            throw new CudaException("an allocation of " + bytes + " bytes");
        }
        long rounded = Math.ceilDiv(bytes, GRANULE) * GRANULE;
        if (rounded > totalMemory - usedMemory) {
            throw new OutOfDeviceMemoryException("The GPU (" + deviceName() + ") has not enough memory: " + bytes
                    + " bytes more were asked for, " + (totalMemory - usedMemory) + " of " + totalMemory + " are free");
        }
        clock.hostWorks(ALLOCATION_NANOS);
        long address = emulator.allocate(bytes);
        sizes.put(address, rounded);
        usedMemory += rounded;
        return address;
    }

    /** Waits for everything first, as CUDA does. */
    @Override
    public void free(long address) {
        notRecordable("freeing memory");
        finishAll();
        emulator.free(address);
        usedMemory -= sizes.remove(address);
    }

    @Override
    public void copyIn(long address, MemorySegment source, long bytes) {
        enter();
        notRecordable("a copy that is waited for");
        finishAll();
        emulator.write(address, source, bytes);
    }

    @Override
    public void copyOut(MemorySegment target, long address, long bytes) {
        enter();
        notRecordable("a copy that is waited for");
        finishAll();
        emulator.read(target, address, bytes);
    }

    @Override
    public void fill(long address, byte value, long bytes) {
        enter();
        notRecordable("a fill, which is waited for,");
        finishAll();
        emulator.fill(address, value, bytes);
    }

    @Override
    public HostBuffer allocateHost(long bytes) {
        enter();
        notRecordable("allocating page-locked memory");
        handles++;
        return new EmulatedHostBuffer(bytes, () -> {
            notRecordable("freeing page-locked memory");
            finishAll();
            handles--;
        });
    }

    /** Reads {@code source} when the stream gets there. */
    @Override
    public void copyIn(long address, HostBuffer source, long offset, long bytes, Stream stream) {
        MemorySegment part = ((EmulatedHostBuffer) source).part(offset, bytes);
        submit("copy in", stream, () -> emulator.write(address, part, bytes));
    }

    /** Spoils {@code target} until the stream gets there. */
    @Override
    public void copyOut(HostBuffer target, long offset, long address, long bytes, Stream stream) {
        EmulatedHostBuffer buffer = (EmulatedHostBuffer) target;
        buffer.spoil(offset, bytes);
        submit("copy out", stream, () -> emulator.read(buffer.part(offset, bytes), address, bytes));
    }

    @Override
    public void copy(long target, long source, long bytes, Stream stream) {
        submit("copy", stream, () -> emulator.copy(target, source, bytes));
    }

    // ---- kernels -------------------------------------------------------------------------------------------------

    private final class EmulatedFunction implements Function {
        private final Kernel kernel;
        private int allowed = DEFAULT_SHARED_BYTES;

        EmulatedFunction(Kernel kernel) {
            this.kernel = kernel;
        }

        @Override
        public String name() {
            return kernel.name();
        }

        @Override
        public void allowSharedBytes(int bytes) {
            if (bytes > sharedBytesPerBlock) {
                throw new CudaException(name() + " wants " + bytes + " bytes of shared memory");
            }
            allowed = bytes;
        }
    }

    @Override
    public Module load(String name, String ptx) {
        enter();
        notRecordable("loading a module");
        PtxModule module = keep ? DECODED.computeIfAbsent(ptx, PtxModule::parse) : PtxModule.parse(ptx);
        return kernel -> new EmulatedFunction(module.kernel(kernel));
    }

    @Override
    public void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters) {
        EmulatedFunction emulated = (EmulatedFunction) function;
        if (sharedBytes > emulated.allowed) {
            throw new CudaException(function.name() + " launched with " + sharedBytes + " bytes of shared memory");
        }
        byte[] packed = parameters.packed();
        submit(function.name(), stream, () -> run(emulated.kernel, new Dim(grid.x(), grid.y(), grid.z()), threads, sharedBytes, packed));
    }

    private void run(Kernel kernel, Dim grid, int threads, int sharedBytes, byte[] parameters) {
        Counters counters = emulator.launch(kernel, grid, new Dim(threads), sharedBytes, parameters);
        launched++;
        threadInstructions += counters.laneInstructions();
        if (emulator.checks()) {
            launches.add(new Launch(kernel.name(), counters));
        }
    }

    @Override
    public void betweenRecordings(Runnable work) {
        work.run();
    }

    @Override
    public void close() {
        finishAll();
        closed = true;
        emulator.close();
    }
}
