package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A convolution as an operation graph of cuDNN, in the order in which its compiled kernels are known to come:
 * {@code conv -> + residual -> + bias}. What lies between is float32 and never in memory. Gives the engine configurations that
 * may compute it. Closed when the last of those that use it, the maker included, has closed it.
 */
final class ConvolutionGraph implements AutoCloseable {

    /** What it is made of. */
    enum Variant {
        /** {@code conv + bias}, with the residual between if there is one. */
        FUSED("graph conv+bias"),
        /**
         * {@code conv + 0 y + bias}: the pattern of a residual, for which cuDNN has kernels that need no compiling, without one.
         * PyTorch (cudnn_convolution_relu) and XLA ask for it so, with the unwritten result as what counts nothing. cuDNN 9.24
         * proposes the same engines for {@link #FUSED}.
         */
        SCALED("graph conv+0y+bias"),
        /** The convolution alone, which cuDNN has the most kernels for. */
        PLAIN("graph conv");

        final String title;

        Variant(String title) {
            this.title = title;
        }
    }

    /** How the tensors are named in a variant pack. */
    static final long X = 1;
    static final long W = 2;
    static final long BIAS = 3;
    static final long RESIDUAL = 4;
    static final long Y = 5;
    private static final long FIRST_BETWEEN = 6;

    /** {@code cudnnBackendHeurMode_t}: the decision tree, the neural net, whatever works at all. */
    private static final List<Integer> HEURISTICS = List.of(3, 1, 2);
    /** With that many proposals the next of the heuristics is not asked: the neural net takes long. */
    private static final int ENOUGH = 4;
    /** Of one of the heuristics: 40 are usual, more than will be tried. */
    private static final int MOST_PROPOSALS = 12;
    private static final Set<Integer> UNWANTED = Set.of(EngineConfiguration.DOWN_CONVERT_INPUTS,
            EngineConfiguration.REDUCED_PRECISION_REDUCTION, EngineConfiguration.NONDETERMINISTIC);

    private static final int POINTWISE_ADD = 0;
    private static final int CROSS_CORRELATION = 1;
    /** Bytes; {@link Dnn.Plan#run} promises it. */
    private static final int ALIGNMENT = 16;

    private final Cudnn cudnn;
    private final Dnn.Shape shape;
    private final Variant variant;
    private final List<Descriptor> made = new ArrayList<>();
    private final List<Descriptor> operations;
    private int users = 1;

    /** Makes the operations, which cuDNN checks without a GPU. */
    ConvolutionGraph(Cudnn cudnn, Dnn.Shape shape, Variant variant) {
        this.cudnn = cudnn;
        this.shape = shape;
        this.variant = variant;
        try {
            operations = operations();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private Descriptor make(int kind) {
        Descriptor descriptor = new Descriptor(cudnn, kind);
        made.add(descriptor);
        return descriptor;
    }

    private List<Descriptor> operations() {
        List<Descriptor> nodes = new ArrayList<>();
        int type = Cudnn.number(shape.type());
        long n = shape.batch();
        long k = shape.outChannels();
        Descriptor y = tensor(Y, type, false, n, k, shape.outHeight(), shape.outWidth());
        Descriptor sum = variant == Variant.PLAIN ? y : between(0);
        nodes.add(convolution(tensor(X, type, false, n, shape.inChannels(), shape.height(), shape.width()),
                tensor(W, type, false, k, shape.inChannels(), shape.kernelHeight(), shape.kernelWidth()), sum));
        if (addsAMap()) {
            Descriptor next = between(1);
            nodes.add(addition(sum, tensor(RESIDUAL, type, false, n, k, shape.outHeight(), shape.outWidth()),
                    shape.residual() ? 1 : 0, next));
            sum = next;
        }
        if (addsBias()) {
            nodes.add(addition(sum, tensor(BIAS, type, false, 1, k, 1, 1), 1, y));
        }
        return nodes;
    }

    /** Whether its variant pack names a {@link #RESIDUAL}. */
    boolean addsAMap() {
        return shape.residual() || variant == Variant.SCALED;
    }

    /** Whether its variant pack names a {@link #BIAS}. */
    boolean addsBias() {
        return variant != Variant.PLAIN;
    }

    private Descriptor between(int index) {
        return tensor(FIRST_BETWEEN + index, Cudnn.DATA_FLOAT, true, shape.batch(), shape.outChannels(), shape.outHeight(),
                shape.outWidth());
    }

    /** Sizes are named in the order N, C, H, W; in memory the channels come last. */
    private Descriptor tensor(long id, int type, boolean virtual, long n, long c, long h, long w) {
        return make(Descriptor.TENSOR)
                .longs(Attribute.TENSOR_UNIQUE_ID, Descriptor.TYPE_INT64, id)
                .number(Attribute.TENSOR_DATA_TYPE, Descriptor.TYPE_DATA_TYPE, type)
                .longs(Attribute.TENSOR_DIMENSIONS, Descriptor.TYPE_INT64, n, c, h, w)
                .longs(Attribute.TENSOR_STRIDES, Descriptor.TYPE_INT64, h * w * c, 1, w * c, c)
                .longs(Attribute.TENSOR_BYTE_ALIGNMENT, Descriptor.TYPE_INT64, ALIGNMENT)
                .truth(Attribute.TENSOR_IS_VIRTUAL, virtual).finish();
    }

    private Descriptor convolution(Descriptor x, Descriptor w, Descriptor y) {
        Descriptor convolution = make(Descriptor.CONVOLUTION)
                .number(Attribute.CONVOLUTION_COMP_TYPE, Descriptor.TYPE_DATA_TYPE, Cudnn.DATA_FLOAT)
                .number(Attribute.CONVOLUTION_CONV_MODE, Descriptor.TYPE_CONVOLUTION_MODE, CROSS_CORRELATION)
                .longs(Attribute.CONVOLUTION_SPATIAL_DIMS, Descriptor.TYPE_INT64, 2)
                .longs(Attribute.CONVOLUTION_DILATIONS, Descriptor.TYPE_INT64, 1, 1)
                .longs(Attribute.CONVOLUTION_FILTER_STRIDES, Descriptor.TYPE_INT64, shape.stride(), shape.stride())
                .longs(Attribute.CONVOLUTION_POST_PADDINGS, Descriptor.TYPE_INT64, shape.padding(), shape.padding())
                .longs(Attribute.CONVOLUTION_PRE_PADDINGS, Descriptor.TYPE_INT64, shape.padding(), shape.padding()).finish();
        return make(Descriptor.OPERATION_CONVOLUTION)
                .float32(Attribute.OPERATION_CONVOLUTION_FORWARD_ALPHA, 1)
                .float32(Attribute.OPERATION_CONVOLUTION_FORWARD_BETA, 0)
                .descriptors(Attribute.OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution)
                .descriptors(Attribute.OPERATION_CONVOLUTION_FORWARD_W, w)
                .descriptors(Attribute.OPERATION_CONVOLUTION_FORWARD_X, x)
                .descriptors(Attribute.OPERATION_CONVOLUTION_FORWARD_Y, y).finish();
    }

    private Descriptor addition(Descriptor x, Descriptor b, float factor, Descriptor y) {
        Descriptor add = make(Descriptor.POINTWISE)
                .number(Attribute.POINTWISE_MODE, Descriptor.TYPE_POINTWISE_MODE, POINTWISE_ADD)
                .number(Attribute.POINTWISE_MATH_PREC, Descriptor.TYPE_DATA_TYPE, Cudnn.DATA_FLOAT).finish();
        return make(Descriptor.OPERATION_POINTWISE)
                .descriptors(Attribute.OPERATION_POINTWISE_PW_DESCRIPTOR, add)
                .descriptors(Attribute.OPERATION_POINTWISE_XDESC, x)
                .descriptors(Attribute.OPERATION_POINTWISE_BDESC, b)
                .float32(Attribute.OPERATION_POINTWISE_ALPHA2, factor)
                .descriptors(Attribute.OPERATION_POINTWISE_YDESC, y).finish();
    }

    /**
     * Engines that keep the promise of float32 sums, the same result every time, and plain float32 products for float32 operands,
     * each with the settings that the heuristics propose, best first.
     *
     * @throws CudaException when cuDNN has nothing for such a graph
     */
    List<EngineConfiguration> proposals() {
        Descriptor graph = cudnn.aim(make(Descriptor.OPERATION_GRAPH), Attribute.OPERATIONGRAPH_HANDLE, 0)
                .descriptors(Attribute.OPERATIONGRAPH_OPS, operations.toArray(Descriptor[]::new)).finish();
        Map<String, EngineConfiguration> proposals = new LinkedHashMap<>();
        for (int mode : HEURISTICS) {
            for (Descriptor configuration : proposals.size() < ENOUGH ? configurations(graph, mode) : List.<Descriptor>of()) {
                try {
                    EngineConfiguration proposal = EngineConfiguration.read(cudnn, configuration);
                    if (exact(proposal)) {
                        proposals.putIfAbsent(proposal.name(), proposal);
                    }
                } catch (CudaException e) {
                    // What it is not told of an engine it does not use.
                }
            }
        }
        return List.copyOf(proposals.values());
    }

    /** What cuDNN proposes, best first. */
    private List<Descriptor> configurations(Descriptor graph, int mode) {
        try {
            Descriptor heuristics = cudnn.aim(make(Descriptor.HEURISTICS), 0, Attribute.ENGINEHEUR_DEVICEPROP)
                    .descriptors(Attribute.ENGINEHEUR_OPERATION_GRAPH, graph)
                    .number(Attribute.ENGINEHEUR_MODE, Descriptor.TYPE_HEURISTIC_MODE, mode).finish();
            List<Descriptor> configurations = new ArrayList<>();
            long count = Math.min(MOST_PROPOSALS, heuristics.count(Attribute.ENGINEHEUR_RESULTS));
            for (long i = count; i > 0; i--) {
                configurations.add(make(Descriptor.ENGINE_CONFIGURATION));
            }
            return configurations.isEmpty() ? List.of()
                    : configurations.subList(0, (int) Math.min(configurations.size(),
                    heuristics.fill(Attribute.ENGINEHEUR_RESULTS, configurations)));
        } catch (CudaException e) {
            // This mode has nothing to say on such a graph.
            return List.of();
        }
    }

    /**
     * Makes a plan of a proposal, which may compile a kernel.
     *
     * @throws io.invadapter.kernels.DeviceException when it cannot be used: proposals are not promises
     */
    Descriptor compile(EngineConfiguration proposal) {
        Descriptor plan = new Descriptor(cudnn, Descriptor.EXECUTION_PLAN);
        try {
            return cudnn.aim(plan, Attribute.EXECUTION_PLAN_HANDLE, Attribute.EXECUTION_PLAN_DEVICEPROP)
                    .descriptors(Attribute.EXECUTION_PLAN_ENGINE_CONFIG, proposal.descriptor()).finish();
        } catch (RuntimeException e) {
            plan.close();
            throw e;
        }
    }

    private boolean exact(EngineConfiguration proposal) {
        return Collections.disjoint(proposal.numerical(), UNWANTED)
                && !(shape.type() == DataType.FLOAT32 && proposal.numerical().contains(EngineConfiguration.TENSOR_CORE));
    }

    /** One more that closes it. */
    ConvolutionGraph use() {
        users++;
        return this;
    }

    @Override
    public void close() {
        if (--users <= 0) {
            made.reversed().forEach(Descriptor::close);
            made.clear();
        }
    }
}
