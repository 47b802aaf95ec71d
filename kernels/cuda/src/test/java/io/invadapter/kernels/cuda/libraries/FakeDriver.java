package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/** A driver without a device: numbers its memory and streams, computes nothing. */
final class FakeDriver implements CudaDriver {
    final Map<Long, Long> allocated = new HashMap<>();
    int openStreams;
    int made;
    /** From now on every call on the device fails. */
    boolean lost;
    private long next = 0x7f00_0000_0000L;
    private final int version;
    private final int capability;

    FakeDriver(int version) {
        this(version, 90);
    }

    FakeDriver(int version, int capability) {
        this.version = version;
        this.capability = capability;
    }

    @Override
    public String deviceName() {
        return "no GPU";
    }

    @Override
    public int computeCapability() {
        return capability;
    }

    @Override
    public int multiprocessors() {
        return 132;
    }

    @Override
    public int sharedBytesPerBlock() {
        return 227 * 1024;
    }

    @Override
    public int driverVersion() {
        return version;
    }

    @Override
    public void makeCurrent() {
        if (lost) {
            throw new CudaException("the device is lost");
        }
        made++;
    }

    @Override
    public Memory memory() {
        return new Memory(1L << 40, 1L << 40);
    }

    @Override
    public long allocate(long bytes) {
        long address = next;
        next += Math.ceilDiv(bytes, 512) * 512;
        allocated.put(address, bytes);
        return address;
    }

    @Override
    public void free(long address) {
        if (allocated.remove(address) == null) {
            throw new IllegalStateException("nothing is allocated at " + address);
        }
    }

    @Override
    public void fill(long address, byte value, long bytes) {
        if (allocated.get(address) != bytes) {
            throw new IllegalStateException("fill is not of a whole block");
        }
    }

    @Override
    public Stream newStream() {
        openStreams++;
        return new Stream() {
            @Override
            public long handle() {
                return 0x5000;
            }

            @Override
            public void synchronize() {
            }

            @Override
            public void close() {
                openStreams--;
            }
        };
    }

    @Override
    public Event newEvent() {
        return new Event() {
            @Override
            public void record(Stream stream) {
            }

            @Override
            public void synchronize() {
            }

            @Override
            public float millisecondsSince(Event earlier) {
                throw none();
            }

            @Override
            public void close() {
            }
        };
    }

    private static UnsupportedOperationException none() {
        return new UnsupportedOperationException("there is no device");
    }

    @Override
    public void copyIn(long address, MemorySegment source, long bytes) {
        throw none();
    }

    @Override
    public void copyOut(MemorySegment target, long address, long bytes) {
        throw none();
    }

    @Override
    public HostBuffer allocateHost(long bytes) {
        throw none();
    }

    @Override
    public void copyIn(long address, HostBuffer source, long offset, long bytes, Stream stream) {
        throw none();
    }

    @Override
    public void copyOut(HostBuffer target, long offset, long address, long bytes, Stream stream) {
        throw none();
    }

    @Override
    public void copy(long target, long source, long bytes, Stream stream) {
        throw none();
    }

    @Override
    public Graph record(Stream stream, Runnable work) {
        throw none();
    }

    @Override
    public Module load(String name, String ptx) {
        throw none();
    }

    @Override
    public void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters) {
        throw none();
    }

    @Override
    public void synchronize() {
    }

    @Override
    public void betweenRecordings(Runnable work) {
        work.run();
    }

    @Override
    public void close() {
    }
}
