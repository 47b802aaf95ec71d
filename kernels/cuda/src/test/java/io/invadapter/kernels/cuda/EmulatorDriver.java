package io.invadapter.kernels.cuda;

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
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The emulator as a driver. Launches run at once and to their end; each leaves its counters in {@link #launches()}. New
 * memory counts as never written.
 */
final class EmulatorDriver implements CudaDriver {
    /** Decoding takes longer than most launches, and a decoded module serves any number of emulators. */
    private static final Map<String, PtxModule> DECODED = new ConcurrentHashMap<>();
    private static final int DEFAULT_SHARED_BYTES = 48 * 1024;
    /** The most that every chip from compute capability 8.0 on has for one block (8.6, 8.9 and 12.0). */
    private static final int SHARED_BYTES_EVERYWHERE = 99 * 1024;

    /** A finished launch. */
    record Launch(String kernel, Counters counters) {
    }

    private final Emulator emulator;
    private final boolean keep;
    private final List<Launch> launches = new ArrayList<>();

    /** On that emulator; modules are kept decoded beyond this driver's life if {@code keep}. */
    EmulatorDriver(Emulator emulator, boolean keep) {
        this.emulator = emulator;
        this.keep = keep;
    }

    /** What the launches so far counted. */
    List<Launch> launches() {
        return launches;
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
    public long allocate(long bytes) {
        return emulator.allocate(bytes);
    }

    @Override
    public void free(long address) {
        emulator.free(address);
    }

    @Override
    public void copyIn(long address, MemorySegment source, long bytes) {
        emulator.write(address, source, bytes);
    }

    @Override
    public void copyOut(MemorySegment target, long address, long bytes) {
        emulator.read(target, address, bytes);
    }

    @Override
    public void fill(long address, byte value, long bytes) {
        emulator.fill(address, value, bytes);
    }

    private static final class EmulatedFunction implements Function {
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
            if (bytes > SHARED_BYTES_EVERYWHERE) {
                throw new CudaException(name() + " wants " + bytes + " bytes of shared memory");
            }
            allowed = bytes;
        }
    }

    @Override
    public Module load(String ptx) {
        PtxModule module = keep ? DECODED.computeIfAbsent(ptx, PtxModule::parse) : PtxModule.parse(ptx);
        return name -> new EmulatedFunction(module.kernel(name));
    }

    @Override
    public Stream newStream() {
        return new Stream() {
            @Override
            public void synchronize() {
                // Nothing is ever under way.
            }

            @Override
            public void close() {
                // Nothing is held.
            }
        };
    }

    @Override
    public Event newEvent() {
        throw new CudaException("the emulator has no clock");
    }

    @Override
    public void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters) {
        EmulatedFunction emulated = (EmulatedFunction) function;
        if (sharedBytes > emulated.allowed) {
            throw new CudaException(function.name() + " launched with " + sharedBytes + " bytes of shared memory");
        }
        launches.add(new Launch(function.name(), emulator.launch(emulated.kernel, new Dim(grid.x(), grid.y(), grid.z()),
                new Dim(threads), sharedBytes, parameters.packed())));
    }

    @Override
    public void synchronize() {
        // Nothing is ever under way.
    }

    @Override
    public void close() {
        emulator.close();
    }
}
