package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import jcuda.jcudnn.JCudnn;

/** cuDNN 9 by way of JCudnn. One thread at a time uses the handle. */
public final class JCudnnDnn implements Dnn {
    private final CudaDriver driver;
    private final Cudnn cudnn;
    private final FaultyEngines faulty;
    private final String description;
    private boolean closed;

    /**
     * Starts cuDNN on the driver's GPU.
     *
     * @param library       its {@code libcudnn.so.9}
     * @param cublasVersion of the cuBLAS that it uses, as major * 10000 + minor * 100 + patch
     * @throws io.invadapter.kernels.DeviceException when it does not start
     */
    public JCudnnDnn(CudaDriver driver, SharedLibrary library, int cublasVersion) {
        this.driver = driver;
        driver.makeCurrent();
        cudnn = new Cudnn(library);
        cudnn.start();
        long version = JCudnn.cudnnGetVersion();
        faulty = new FaultyEngines(driver.computeCapability(), version, cublasVersion);
        description = "cuDNN " + version / 10000 + "." + version / 100 % 100 + "." + version % 100 + " for CUDA "
                + JCudnn.cudnnGetCudartVersion() / 1000 + " (JCudnn, " + library.path() + ")";
    }

    Cudnn cudnn() {
        return cudnn;
    }

    @Override
    public String description() {
        return description;
    }

    /** A run of a plan: checks what is common to all, and lets its work go to the stream. */
    synchronized void on(CudaDriver.Stream stream, Shape shape, long residual, Runnable work) {
        if (residual != 0 != shape.residual()) {
            throw new IllegalArgumentException("residual is " + (residual == 0 ? "missing" : "given, but not planned for"));
        }
        driver.makeCurrent();
        cudnn.use(stream);
        work.run();
    }

    /** Gives something back, unless all was given back with the handle or the device is lost. */
    synchronized void release(Runnable work) {
        if (!closed && isThere()) {
            work.run();
        }
    }

    private boolean isThere() {
        try {
            driver.makeCurrent();
            return true;
        } catch (CudaException e) {
            // The device is lost, and the handle with it.
            return false;
        }
    }

    private record Proposal(String name, List<String> notes, boolean compiledAtRunTime, boolean isLastResort,
                            Supplier<Plan> maker) implements Candidate<Plan> {
        @Override
        public Plan prepare() {
            return maker.get();
        }
    }

    private final class Asked implements Proposals {
        private final Shape shape;
        private final List<ConvolutionGraph> graphs = new ArrayList<>();
        private final List<Candidate<Plan>> candidates = new ArrayList<>();

        Asked(Shape shape) {
            this.shape = shape;
            classic(ClassicWay.Kind.FUSED, false);
            List<List<Candidate<Plan>>> proposed = new ArrayList<>();
            proposed.add(ask(ConvolutionGraph.Variant.FUSED));
            if (!shape.residual()) {
                proposed.add(ask(ConvolutionGraph.Variant.PLAIN));
                if (proposed.getFirst().stream().allMatch(Candidate::compiledAtRunTime)) {
                    proposed.add(ask(ConvolutionGraph.Variant.SCALED));
                }
            }
            // Only so many are tried: the best of each before the second best of any.
            for (int rank = 0; rank < proposed.stream().mapToInt(List::size).max().orElse(0); rank++) {
                for (List<Candidate<Plan>> variant : proposed) {
                    if (rank < variant.size()) {
                        candidates.add(variant.get(rank));
                    }
                }
            }
            classic(ClassicWay.Kind.SEPARATE, true);
            classic(ClassicWay.Kind.SIMPLE, true);
        }

        private void classic(ClassicWay.Kind kind, boolean isLastResort) {
            candidates.add(new Proposal(kind.title, List.of(), false, isLastResort,
                    () -> prepare(() -> new ClassicWay(JCudnnDnn.this, shape, kind))));
        }

        private List<Candidate<Plan>> ask(ConvolutionGraph.Variant variant) {
            try {
                ConvolutionGraph graph = new ConvolutionGraph(cudnn, shape, variant);
                graphs.add(graph);
                List<Candidate<Plan>> found = new ArrayList<>();
                for (EngineConfiguration engine : graph.proposals()) {
                    if (!faulty.contains(engine.engine())) {
                        found.add(new Proposal(variant.title + ", " + engine.name(), engine.notes(), engine.compiledAtRunTime(), false,
                                () -> prepare(() -> new GraphWay(JCudnnDnn.this, graph, shape, engine))));
                    }
                }
                return found.isEmpty() ? refused(variant, new CudaException("cuDNN proposes no engine")) : found;
            } catch (CudaException e) {
                return refused(variant, e);
            }
        }

        /** What is refused before anything can be prepared still says why. */
        private List<Candidate<Plan>> refused(ConvolutionGraph.Variant variant, CudaException reason) {
            return List.of(new Proposal(variant.title, List.of(), true, false, () -> {
                throw reason;
            }));
        }

        private Plan prepare(Supplier<Plan> maker) {
            synchronized (JCudnnDnn.this) {
                driver.makeCurrent();
                return maker.get();
            }
        }

        @Override
        public List<Candidate<Plan>> candidates() {
            return candidates;
        }

        @Override
        public void close() {
            release(() -> {
                graphs.forEach(ConvolutionGraph::close);
                graphs.clear();
            });
        }
    }

    @Override
    public synchronized Proposals propose(Shape shape) {
        driver.makeCurrent();
        return new Asked(shape);
    }

    /** Plans that were not closed go with it. */
    @Override
    public synchronized void close() {
        if (!closed && isThere()) {
            cudnn.close();
        }
        closed = true;
    }
}
