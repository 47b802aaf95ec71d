package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Supplier;
import jcuda.jcudnn.JCudnn;

/** cuDNN 9 by way of JCudnn. One thread at a time uses the handle. */
public final class JCudnnDnn implements Dnn {
    /** Between a graph's title and an engine's name. */
    private static final String SEPARATOR = ", ";

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

    /** A run of a convolution's plan: checks what is common to all, and lets its work go to the stream. */
    void on(CudaDriver.Stream stream, Shape shape, long residual, Runnable work) {
        if (residual != 0 != shape.residual()) {
            throw new IllegalArgumentException("residual is " + (residual == 0 ? "missing" : "given, but not planned for"));
        }
        on(stream, work);
    }

    /** Lets the work of a run go to the stream. */
    synchronized void on(CudaDriver.Stream stream, Runnable work) {
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

    private record Proposal<W extends Way>(String name, List<String> notes, boolean compiledAtRunTime, boolean isLastResort,
                                           Supplier<W> maker) implements Candidate<W> {
        @Override
        public W prepare() {
            return maker.get();
        }
    }

    /** Graphs that were asked for engines, and what they gave. */
    private abstract class Asked<W extends Way> implements Proposals<W> {
        private final List<OperationGraph> graphs = new ArrayList<>();
        private final List<Candidate<W>> candidates = new ArrayList<>();
        /** By the titles of the graphs. */
        private final Map<String, Function<String, Optional<Candidate<W>>>> named = new HashMap<>();

        /**
         * The engines for a graph.
         *
         * @param title of the graph
         * @param make  makes it
         * @param wrong whether an engine is known to be
         * @param plan  makes a plan of one
         */
        final <G extends OperationGraph> List<Candidate<W>> ask(String title, Supplier<G> make, LongPredicate wrong,
                                                                BiFunction<G, EngineConfiguration, W> plan) {
            try {
                G graph = make.get();
                graphs.add(graph);
                Function<EngineConfiguration, Candidate<W>> candidate = engine -> new Proposal<>(title + SEPARATOR + engine.name(),
                        engine.notes(), engine.compiledAtRunTime(), false, () -> prepare(() -> plan.apply(graph, engine)));
                named.put(title, name -> graph.named(name).filter(engine -> !wrong.test(engine.engine())).map(candidate));
                List<Candidate<W>> found = graph.proposals().stream().filter(engine -> !wrong.test(engine.engine())).map(candidate)
                        .toList();
                return found.isEmpty() ? refused(title, new CudaException("cuDNN proposes no engine")) : found;
            } catch (CudaException e) {
                return refused(title, e);
            }
        }

        /** What is refused before anything can be prepared still says why. */
        final List<Candidate<W>> refused(String title, CudaException reason) {
            return List.of(new Proposal<>(title, List.of(), true, false, () -> {
                throw reason;
            }));
        }

        final W prepare(Supplier<W> maker) {
            synchronized (JCudnnDnn.this) {
                driver.makeCurrent();
                return maker.get();
            }
        }

        final void add(Candidate<W> candidate) {
            candidates.add(candidate);
        }

        @Override
        public List<Candidate<W>> candidates() {
            return candidates;
        }

        @Override
        public Optional<Candidate<W>> named(String name) {
            Optional<Candidate<W>> proposed = Proposals.super.named(name);
            int title = name.indexOf(SEPARATOR);
            if (proposed.isPresent() || title < 0 || !named.containsKey(name.substring(0, title))) {
                return proposed;
            }
            synchronized (JCudnnDnn.this) {
                driver.makeCurrent();
                return named.get(name.substring(0, title)).apply(name.substring(title + SEPARATOR.length()));
            }
        }

        @Override
        public void close() {
            release(() -> {
                graphs.forEach(OperationGraph::close);
                graphs.clear();
            });
        }
    }

    private final class AskedForConvolution extends Asked<Plan> {
        private final Shape shape;

        AskedForConvolution(Shape shape) {
            this.shape = shape;
            classic(ClassicWay.Kind.FUSED, false);
            List<List<Candidate<Plan>>> proposed = new ArrayList<>();
            proposed.add(ask(ConvolutionGraph.Variant.FUSED));
            if (!shape.residual()) {
                proposed.add(ask(ConvolutionGraph.Variant.PLAIN));
            }
            // Only so many are tried: the best of each before the second best of any.
            for (int rank = 0; rank < proposed.stream().mapToInt(List::size).max().orElse(0); rank++) {
                for (List<Candidate<Plan>> variant : proposed) {
                    if (rank < variant.size()) {
                        add(variant.get(rank));
                    }
                }
            }
            classic(ClassicWay.Kind.SEPARATE, true);
            classic(ClassicWay.Kind.SIMPLE, true);
        }

        private void classic(ClassicWay.Kind kind, boolean isLastResort) {
            add(new Proposal<>(kind.title, List.of(), false, isLastResort,
                    () -> prepare(() -> new ClassicWay(JCudnnDnn.this, shape, kind))));
        }

        private List<Candidate<Plan>> ask(ConvolutionGraph.Variant variant) {
            return ask(variant.title, () -> new ConvolutionGraph(cudnn, shape, variant), faulty::contains,
                    (graph, engine) -> new GraphWay(JCudnnDnn.this, graph, shape, engine));
        }
    }

    private final class AskedForAttention extends Asked<AttentionPlan> {
        private static final String TITLE = "graph attention";

        AskedForAttention(AttentionShape shape) {
            List<Candidate<AttentionPlan>> found = faulty.attention()
                    ? refused(TITLE, new CudaException("this version of cuDNN is known to compute it wrong"))
                    : ask(TITLE, () -> new AttentionGraph(cudnn, shape), engine -> false,
                            (graph, engine) -> new FusedAttention(JCudnnDnn.this, graph, shape, engine));
            found.forEach(this::add);
        }
    }

    @Override
    public synchronized Proposals<Plan> propose(Shape shape) {
        driver.makeCurrent();
        return new AskedForConvolution(shape);
    }

    @Override
    public synchronized Proposals<AttentionPlan> propose(AttentionShape shape) {
        driver.makeCurrent();
        return new AskedForAttention(shape);
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
