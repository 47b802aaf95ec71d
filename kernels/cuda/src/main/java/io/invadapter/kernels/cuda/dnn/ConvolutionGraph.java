package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;

/**
 * A convolution as an operation graph of cuDNN, in the order in which its compiled kernels are known to come:
 * {@code conv -> + residual -> + bias}. What lies between is float32 and never in memory. Gives the engine configurations that
 * may compute it.
 */
final class ConvolutionGraph implements AutoCloseable {
    /** How the tensors are named in a variant pack. */
    static final long X = 1;
    static final long W = 2;
    static final long BIAS = 3;
    static final long RESIDUAL = 4;
    static final long Y = 5;
    private static final long FIRST_BETWEEN = 6;

    /** {@code cudnnBackendHeurMode_t}: the decision tree, the neural net, whatever works at all. */
    private static final List<Integer> HEURISTICS = List.of(3, 1, 2);

    /** {@code cudnnBackendNumericalNote_t} */
    private static final int NOTE_TENSOR_CORE = 0;
    private static final int NOTE_DOWN_CONVERT_INPUTS = 1;
    private static final int NOTE_REDUCED_PRECISION_REDUCTION = 2;
    private static final int NOTE_NONDETERMINISTIC = 4;
    private static final int NOTES = 10;
    private static final Set<Integer> UNWANTED =
            Set.of(NOTE_DOWN_CONVERT_INPUTS, NOTE_REDUCED_PRECISION_REDUCTION, NOTE_NONDETERMINISTIC);

    private static final int POINTWISE_ADD = 0;
    private static final int CROSS_CORRELATION = 1;
    /** Bytes; {@link Dnn.Plan#run} promises it. */
    private static final int ALIGNMENT = 16;

    private final Cudnn cudnn;
    private final Dnn.Shape shape;
    private final List<Descriptor> made = new ArrayList<>();
    private final List<Descriptor> operations;

    /** Makes the operations, which cuDNN checks without a GPU. */
    ConvolutionGraph(Cudnn cudnn, Dnn.Shape shape) {
        this.cudnn = cudnn;
        this.shape = shape;
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
        Descriptor sum = between(0);
        nodes.add(convolution(tensor(X, type, false, n, shape.inChannels(), shape.height(), shape.width()),
                tensor(W, type, false, k, shape.inChannels(), shape.kernelHeight(), shape.kernelWidth()), sum));
        if (shape.residual()) {
            Descriptor next = between(1);
            nodes.add(addition(sum, tensor(RESIDUAL, type, false, n, k, shape.outHeight(), shape.outWidth()), next));
            sum = next;
        }
        nodes.add(addition(sum, tensor(BIAS, type, false, 1, k, 1, 1), y));
        return nodes;
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

    private Descriptor addition(Descriptor x, Descriptor b, Descriptor y) {
        Descriptor add = make(Descriptor.POINTWISE)
                .number(Attribute.POINTWISE_MODE, Descriptor.TYPE_POINTWISE_MODE, POINTWISE_ADD)
                .number(Attribute.POINTWISE_MATH_PREC, Descriptor.TYPE_DATA_TYPE, Cudnn.DATA_FLOAT).finish();
        return make(Descriptor.OPERATION_POINTWISE)
                .descriptors(Attribute.OPERATION_POINTWISE_PW_DESCRIPTOR, add)
                .descriptors(Attribute.OPERATION_POINTWISE_XDESC, x)
                .descriptors(Attribute.OPERATION_POINTWISE_BDESC, b)
                .descriptors(Attribute.OPERATION_POINTWISE_YDESC, y).finish();
    }

    /**
     * Ways that keep the promise of float32 sums, the same result every time, and plain float32 products for float32 operands.
     *
     * @param most of them; each is compiled here
     */
    List<GraphWay> ways(long workspaceLimit, int most) {
        Descriptor graph = make(Descriptor.OPERATION_GRAPH)
                .longs(Attribute.OPERATIONGRAPH_HANDLE, Descriptor.TYPE_HANDLE, cudnn.address())
                .descriptors(Attribute.OPERATIONGRAPH_OPS, operations.toArray(Descriptor[]::new)).finish();
        List<GraphWay> ways = new ArrayList<>();
        for (int mode : HEURISTICS) {
            // Asking the neural net alone takes long.
            for (Descriptor configuration : ways.size() < most ? configurations(graph, mode) : List.<Descriptor>of()) {
                if (ways.size() < most && exact(configuration)) {
                    GraphWay way = GraphWay.compile(cudnn, configuration, shape.residual(), workspaceLimit);
                    if (way != null) {
                        ways.add(way);
                    }
                }
            }
        }
        return ways;
    }

    /** What cuDNN proposes, best first. */
    private List<Descriptor> configurations(Descriptor graph, int mode) {
        try {
            Descriptor heuristics = make(Descriptor.HEURISTICS)
                    .descriptors(Attribute.ENGINEHEUR_OPERATION_GRAPH, graph)
                    .number(Attribute.ENGINEHEUR_MODE, Descriptor.TYPE_HEURISTIC_MODE, mode).finish();
            List<Descriptor> configurations = new ArrayList<>();
            for (long i = heuristics.count(Attribute.ENGINEHEUR_RESULTS); i > 0; i--) {
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

    private boolean exact(Descriptor configuration) {
        try (Descriptor engine = new Descriptor(cudnn, Descriptor.ENGINE)) {
            configuration.fill(Attribute.ENGINECFG_ENGINE, List.of(engine));
            List<Integer> notes = engine.numbers(Attribute.ENGINE_NUMERICAL_NOTE, Descriptor.TYPE_NUMERICAL_NOTE, NOTES);
            return Collections.disjoint(notes, UNWANTED)
                    && !(shape.type() == DataType.FLOAT32 && notes.contains(NOTE_TENSOR_CORE));
        } catch (CudaException e) {
            return false;
        }
    }

    @Override
    public void close() {
        made.reversed().forEach(Descriptor::close);
        made.clear();
    }
}
