package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;
import java.lang.foreign.MemorySegment;

/** A driver that fails when {@link Faults} says so. */
final class FailingDriver implements CudaDriver {
    private final CudaDriver driver;
    private final Faults faults;

    FailingDriver(CudaDriver driver, Faults faults) {
        this.driver = driver;
        this.faults = faults;
    }

    private record FailingStream(Stream stream, Faults faults) implements Stream {
        @Override
        public long handle() {
            return stream.handle();
        }

        @Override
        public void synchronize() {
            faults.call("cuStreamSynchronize");
            stream.synchronize();
        }

        @Override
        public void close() {
            faults.release(stream::close);
        }
    }

    /** The driver's own stream. */
    static Stream inner(Stream stream) {
        return stream == null ? null : ((FailingStream) stream).stream;
    }

    private record FailingEvent(Event event, Faults faults) implements Event {
        @Override
        public void record(Stream stream) {
            faults.call("cuEventRecord");
            event.record(inner(stream));
        }

        @Override
        public void synchronize() {
            faults.call("cuEventSynchronize");
            event.synchronize();
        }

        @Override
        public float millisecondsSince(Event earlier) {
            faults.call("cuEventElapsedTime");
            return event.millisecondsSince(((FailingEvent) earlier).event);
        }

        @Override
        public void close() {
            faults.release(event::close);
        }
    }

    private record FailingGraph(Graph graph, Faults faults) implements Graph {
        @Override
        public void launch(Stream stream) {
            faults.launch("cuGraphLaunch");
            graph.launch(inner(stream));
        }

        @Override
        public int nodes() {
            return graph.nodes();
        }

        @Override
        public void close() {
            faults.release(graph::close);
        }
    }

    private record FailingHostBuffer(HostBuffer buffer, Faults faults) implements HostBuffer {
        @Override
        public MemorySegment segment() {
            return buffer.segment();
        }

        @Override
        public void close() {
            faults.release(buffer::close);
        }
    }

    private static HostBuffer inner(HostBuffer buffer) {
        return ((FailingHostBuffer) buffer).buffer;
    }

    @Override
    public String deviceName() {
        return driver.deviceName();
    }

    @Override
    public int computeCapability() {
        return driver.computeCapability();
    }

    @Override
    public int multiprocessors() {
        return driver.multiprocessors();
    }

    @Override
    public int sharedBytesPerBlock() {
        return driver.sharedBytesPerBlock();
    }

    @Override
    public int driverVersion() {
        return driver.driverVersion();
    }

    @Override
    public void makeCurrent() {
        faults.call("cuCtxSetCurrent");
        driver.makeCurrent();
    }

    @Override
    public Memory memory() {
        faults.call("cuMemGetInfo");
        return driver.memory();
    }

    @Override
    public long allocate(long bytes) {
        faults.allocation("cuMemAlloc of " + bytes + " bytes");
        return driver.allocate(bytes);
    }

    @Override
    public void free(long address) {
        faults.release(() -> driver.free(address));
    }

    @Override
    public void copyIn(long address, MemorySegment source, long bytes) {
        faults.call("cuMemcpyHtoD");
        driver.copyIn(address, source, bytes);
    }

    @Override
    public void copyOut(MemorySegment target, long address, long bytes) {
        faults.call("cuMemcpyDtoH");
        driver.copyOut(target, address, bytes);
    }

    @Override
    public HostBuffer allocateHost(long bytes) {
        faults.allocation("cuMemHostAlloc of " + bytes + " bytes");
        return new FailingHostBuffer(driver.allocateHost(bytes), faults);
    }

    @Override
    public void copyIn(long address, HostBuffer source, long offset, long bytes, Stream stream) {
        faults.call("cuMemcpyHtoDAsync");
        driver.copyIn(address, inner(source), offset, bytes, inner(stream));
    }

    @Override
    public void copyOut(HostBuffer target, long offset, long address, long bytes, Stream stream) {
        faults.call("cuMemcpyDtoHAsync");
        driver.copyOut(inner(target), offset, address, bytes, inner(stream));
    }

    @Override
    public void copy(long target, long source, long bytes, Stream stream) {
        faults.call("cuMemcpyDtoDAsync");
        driver.copy(target, source, bytes, inner(stream));
    }

    @Override
    public Graph record(Stream stream, Runnable work) {
        faults.call("cuStreamBeginCapture");
        return new FailingGraph(driver.record(inner(stream), work), faults);
    }

    @Override
    public void fill(long address, byte value, long bytes) {
        faults.call("cuMemsetD8");
        driver.fill(address, value, bytes);
    }

    @Override
    public Module load(String name, String ptx) {
        faults.load(name);
        Module module = driver.load(name, ptx);
        return kernel -> {
            faults.call("cuModuleGetFunction");
            return module.function(kernel);
        };
    }

    @Override
    public Stream newStream() {
        faults.call("cuStreamCreate");
        return new FailingStream(driver.newStream(), faults);
    }

    @Override
    public Event newEvent() {
        faults.call("cuEventCreate");
        return new FailingEvent(driver.newEvent(), faults);
    }

    @Override
    public void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters) {
        faults.launch("launch of " + function.name());
        driver.launch(function, grid, threads, sharedBytes, inner(stream), parameters);
    }

    @Override
    public void synchronize() {
        faults.call("cuCtxSynchronize");
        driver.synchronize();
    }

    @Override
    public void betweenRecordings(Runnable work) {
        driver.betweenRecordings(work);
    }

    @Override
    public void close() {
        faults.release(driver::close);
    }
}
