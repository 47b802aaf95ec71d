package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Choice;
import io.invadapter.kernels.cuda.choice.Chooser;
import io.invadapter.kernels.cuda.choice.Offer;
import io.invadapter.kernels.cuda.choice.TrialMemory;
import io.invadapter.kernels.cuda.choice.Workspace;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Attention by this module's kernels or, where that was found to be faster, by cuDNN's fused attention: chosen by timing when
 * a shape comes up first. That is for a source of each batch row's own; all others are added by kernels of this module: the second
 * in the launch of the first, or after cuDNN, and each further one in a launch of its own, which reads the queries and reads and
 * writes the result once more.
 */
final class CudaAttention implements AutoCloseable {
    /** FLOPs from which there is something to win: below, compiling cuDNN's kernels takes longer than all steps can save. */
    static final long WORTH_CHOOSING = 16_000_000_000L;
    /** The widest head that cuDNN takes on every chip. */
    private static final int MOST_HEAD_SIZE = 128;

    private final KernelLibrary library;
    private final Attention kernels;
    private final Dnn dnn;
    private final Chooser chooser;
    private final Workspace workspace;
    private final long worthChoosing;
    private final Map<Dnn.AttentionShape, Choice<Dnn.AttentionPlan>> choices = new HashMap<>();

    /** @param worthChoosing FLOPs of the least attention for which cuDNN is asked */
    CudaAttention(KernelLibrary library, Dnn dnn, Chooser chooser, Workspace workspace, long worthChoosing) {
        this.library = library;
        this.kernels = new Attention(library);
        this.dnn = dnn;
        this.chooser = chooser;
        this.workspace = workspace;
        this.worthChoosing = worthChoosing;
    }

    /** See {@link Attention#prepare}. */
    void prepare(int channels) {
        kernels.prepare(channels);
    }

    /** See {@link Attention#prepareSources}. */
    void prepareSources(int tokens) {
        kernels.prepareSources(tokens);
    }

    /**
     * {@code out = sum of lambda softmax(scale q k^T) v} over all sources.
     *
     * @param shape  sizes; its keys count for nothing
     * @param causal with one plain source only
     * @throws IllegalArgumentException when sizes, addresses or strides do not fit
     * @see Attention
     */
    void run(Strided q, List<Attention.Source> sources, Strided out, Attention.Shape shape, boolean causal, CudaDriver.Stream stream) {
        List<Attention.Source> others = new ArrayList<>(sources);
        Attention.Source first = sources.stream().filter(Attention.Source::isPlain).findFirst().orElse(sources.getFirst());
        others.remove(first);
        Attention.Shape own = shape.withKeys(first.keys());
        if (!first.isPlain()) {
            kernels.weighted(q, out, first, own, stream);
        } else {
            Dnn.AttentionPlan fused = causal ? null : fused(q, first.k(), first.v(), out, own);
            if (fused != null) {
                fused.run(q.address(), first.k().address(), first.v().address(), out.address(),
                        workspace.address(fused.workspaceBytes()), stream);
            } else if (others.isEmpty()) {
                kernels.attention(q, first.k(), first.v(), out, own, causal, stream);
            } else {
                kernels.eaaAttention(q, first.k(), first.v(), out, others.removeFirst(), own, stream);
            }
        }
        others.forEach(source -> kernels.addSource(q, out, source, own, stream));
    }

    /** cuDNN's plan where that is the choice, else null. */
    private Dnn.AttentionPlan fused(Strided q, Strided k, Strided v, Strided out, Attention.Shape s) {
        double flops = 4.0 * s.batch() * s.heads() * s.queries() * s.keys() * s.headSize();
        if (flops < worthChoosing || library.type() == DataType.FLOAT32 || s.headSize() % 8 != 0 || s.headSize() > MOST_HEAD_SIZE
                || !suits(q) || !suits(k) || !suits(v) || !suits(out)) {
            return null;
        }
        Dnn.AttentionShape shape = new Dnn.AttentionShape(library.type(), s.batch(), s.heads(), s.queries(), s.keys(),
                s.headSize(), s.scale(), strides(q), strides(k), strides(v), strides(out));
        Choice<Dnn.AttentionPlan> choice = choices.get(shape);
        if (choice == null) {
            choice = choose(shape);
            choices.put(shape, choice);
        }
        return choice.way() instanceof OwnAttention ? null : choice.way();
    }

    /** cuDNN is promised aligned rows, and not asked for batch rows that share their memory. */
    private boolean suits(Strided x) {
        return x.batchStride() != 0 && x.aligned(library);
    }

    private static Dnn.Strides strides(Strided x) {
        return new Dnn.Strides(x.batchStride(), x.rowStride(), x.headStride());
    }

    private Choice<Dnn.AttentionPlan> choose(Dnn.AttentionShape shape) {
        try (Dnn.Proposals<Dnn.AttentionPlan> proposals = dnn.propose(shape)) {
            List<Candidate<Dnn.AttentionPlan>> candidates = new ArrayList<>();
            candidates.add(new OwnAttention(kernels, shape));
            candidates.addAll(proposals.candidates());
            return chooser.choose(new Contest(shape, candidates));
        }
    }

    private final class Contest implements Offer<Dnn.AttentionPlan> {
        private final Dnn.AttentionShape shape;
        private final List<Candidate<Dnn.AttentionPlan>> candidates;

        Contest(Dnn.AttentionShape shape, List<Candidate<Dnn.AttentionPlan>> candidates) {
            this.shape = shape;
            this.candidates = candidates;
        }

        @Override
        public String key() {
            return shape.toString();
        }

        @Override
        public Iterable<? extends Candidate<Dnn.AttentionPlan>> candidates() {
            return candidates;
        }

        @Override
        public Trial<Dnn.AttentionPlan> trial() {
            TrialMemory memory = new TrialMemory(library.driver());
            long q = memory.block(bytes(shape.queries(), shape.q()));
            long k = memory.block(bytes(shape.keys(), shape.k()));
            long v = memory.block(bytes(shape.keys(), shape.v()));
            long out = memory.block(bytes(shape.queries(), shape.out()));
            return new Trial<>() {
                @Override
                public void run(Dnn.AttentionPlan plan, long scratch, CudaDriver.Stream stream) {
                    plan.run(q, k, v, out, scratch, stream);
                }

                @Override
                public void close() {
                    memory.close();
                }
            };
        }

        /** From an operand's first value to its last. */
        private long bytes(int tokens, Dnn.Strides strides) {
            return library.bytes() * ((shape.batch() - 1) * strides.batch() + (tokens - 1) * strides.token()
                    + (shape.heads() - 1) * strides.head() + shape.headSize());
        }
    }

    @Override
    public void close() {
        choices.values().forEach(choice -> choice.way().close());
        choices.clear();
    }
}
