package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import jcuda.jcudnn.JCudnn;

/** cuDNN 9 by way of JCudnn. One thread at a time uses the handle. */
public final class JCudnnDnn implements Dnn {
    /** Of the graph interface's ways per shape: each may be compiled at run time, which takes a good part of a second. */
    private static final int GRAPH_CANDIDATES = 4;
    private static final int TIMED_RUNS = 3;
    /** Small numbers in every type: zeros would need less power, and run faster than what is to be timed. */
    private static final byte SCRATCH_BYTE = 0x11;

    private final CudaDriver driver;
    private final Cudnn cudnn;
    private final String description;
    private final Map<Shape, TimedPlan> plans = new HashMap<>();
    /** What lives until the end: a plan that was given out stays usable when another replaces it. */
    private final List<Way> keptWays = new ArrayList<>();
    private final List<ConvolutionGraph> keptGraphs = new ArrayList<>();

    /**
     * Starts cuDNN on the driver's GPU.
     *
     * @param library its {@code libcudnn.so.9}
     * @throws io.invadapter.kernels.DeviceException when it does not start
     */
    public JCudnnDnn(CudaDriver driver, SharedLibrary library) {
        this.driver = driver;
        driver.makeCurrent();
        cudnn = new Cudnn(library);
        cudnn.start();
        long version = JCudnn.cudnnGetVersion();
        description = "cuDNN " + version / 10000 + "." + version / 100 % 100 + "." + version % 100 + " for CUDA "
                + JCudnn.cudnnGetCudartVersion() / 1000 + " (JCudnn, " + library.path() + ")";
    }

    private record TimedPlan(JCudnnDnn owner, Shape shape, Way way, float milliseconds) implements Plan {
        @Override
        public long workspaceBytes() {
            return way.workspaceBytes();
        }

        @Override
        public String description() {
            return String.format(Locale.ROOT, "%s, %.3f ms", way.name(), milliseconds);
        }

        @Override
        public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
            if (residual != 0 != shape.residual()) {
                throw new IllegalArgumentException("residual is " + (residual == 0 ? "missing" : "given, but not planned for"));
            }
            synchronized (owner) {
                owner.driver.makeCurrent();
                owner.cudnn.use(stream);
                way.run(x, w, bias, residual, y, workspace);
            }
        }
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public synchronized Plan plan(Shape shape, long workspaceLimit) {
        TimedPlan plan = plans.get(shape);
        if (plan == null || plan.workspaceBytes() > workspaceLimit) {
            driver.makeCurrent();
            plan = choose(shape, workspaceLimit);
            plans.put(shape, plan);
        }
        return plan;
    }

    private TimedPlan choose(Shape shape, long workspaceLimit) {
        List<String> failures = new ArrayList<>();
        List<Way> ways = new ArrayList<>();
        ConvolutionGraph graph = null;
        Way chosen = null;
        try {
            addClassic(ways, shape, workspaceLimit, true, failures);
            try {
                graph = new ConvolutionGraph(cudnn, shape);
                ways.addAll(graph.ways(workspaceLimit, GRAPH_CANDIDATES));
            } catch (CudaException e) {
                failures.add(e.getMessage());
            }
            TimedPlan plan = fastest(shape, ways, failures);
            if (plan == null) {
                // Three calls where one would do: only when nothing else works.
                int tried = ways.size();
                addClassic(ways, shape, workspaceLimit, false, failures);
                plan = fastest(shape, ways.subList(tried, ways.size()), failures);
            }
            if (plan == null) {
                throw new CudaException("cuDNN cannot compute " + shape + " with " + workspaceLimit
                        + " bytes of scratch memory: " + String.join("; ", failures));
            }
            chosen = plan.way();
            keptWays.add(chosen);
            return plan;
        } finally {
            for (Way way : ways) {
                if (way != chosen) {
                    way.close();
                }
            }
            if (chosen instanceof GraphWay) {
                keptGraphs.add(graph);
            } else if (graph != null) {
                graph.close();
            }
        }
    }

    private void addClassic(List<Way> ways, Shape shape, long workspaceLimit, boolean fused, List<String> failures) {
        try {
            ClassicWay way = new ClassicWay(cudnn, shape, fused);
            if (way.workspaceBytes() <= workspaceLimit) {
                ways.add(way);
            } else {
                failures.add(way.name() + " needs " + way.workspaceBytes() + " bytes");
                way.close();
            }
        } catch (CudaException e) {
            failures.add(e.getMessage());
        }
    }

    /** Memory to try ways on, given back at the end. */
    private final class Scratch implements AutoCloseable {
        private final List<Long> blocks = new ArrayList<>();

        long block(long bytes) {
            if (bytes == 0) {
                return 0;
            }
            long address = driver.allocate(bytes);
            blocks.add(address);
            driver.fill(address, SCRATCH_BYTE, bytes);
            return address;
        }

        @Override
        public void close() {
            blocks.forEach(driver::free);
        }
    }

    /** Null when none works. */
    private TimedPlan fastest(Shape shape, List<Way> ways, List<String> failures) {
        long out = (long) shape.batch() * shape.outHeight() * shape.outWidth() * shape.outChannels() * shape.type().bytes();
        TimedPlan best = null;
        try (Scratch scratch = new Scratch(); CudaDriver.Stream stream = driver.newStream();
                CudaDriver.Event start = driver.newEvent(); CudaDriver.Event end = driver.newEvent()) {
            long x = scratch.block((long) shape.batch() * shape.height() * shape.width() * shape.inChannels()
                    * shape.type().bytes());
            long w = scratch.block((long) shape.outChannels() * shape.kernelHeight() * shape.kernelWidth()
                    * shape.inChannels() * shape.type().bytes());
            long bias = scratch.block((long) shape.outChannels() * shape.type().bytes());
            long residual = shape.residual() ? scratch.block(out) : 0;
            long y = scratch.block(out);
            long workspace = scratch.block(ways.stream().mapToLong(Way::workspaceBytes).max().orElse(0));
            cudnn.use(stream);
            for (Way way : ways) {
                try {
                    // The first run loads the kernel.
                    way.run(x, w, bias, residual, y, workspace);
                    float least = Float.MAX_VALUE;
                    for (int i = 0; i < TIMED_RUNS; i++) {
                        start.record(stream);
                        way.run(x, w, bias, residual, y, workspace);
                        end.record(stream);
                        least = Math.min(least, end.millisecondsSince(start));
                    }
                    if (best == null || least < best.milliseconds()) {
                        best = new TimedPlan(this, shape, way, least);
                    }
                } catch (OutOfDeviceMemoryException e) {
                    throw e;
                } catch (CudaException e) {
                    failures.add(way.name() + ": " + e.getMessage());
                }
            }
            // The stream is about to be closed.
            cudnn.use(null);
        }
        return best;
    }

    @Override
    public synchronized void close() {
        try {
            driver.makeCurrent();
        } catch (CudaException e) {
            // The device is lost, and the handle with it.
            return;
        }
        keptWays.forEach(Way::close);
        keptGraphs.forEach(ConvolutionGraph::close);
        cudnn.close();
    }
}
