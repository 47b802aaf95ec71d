package io.invadapter.kernels.cuda.dnn;

/**
 * Attention as an operation graph of cuDNN, in the form of which it makes one kernel: product, scale, softmax as its five steps,
 * product. The logarithm of the sum, which training would want, is part of that form, although nobody reads it: without it cuDNN
 * has no engine. The products are of 16-bit values, all between them but the weights is float32.
 */
final class AttentionGraph extends OperationGraph {
    /** How the tensors are named in a variant pack. */
    static final long Q = 1;
    static final long K = 2;
    static final long V = 3;
    static final long SCALE = 4;
    static final long OUT = 5;
    private static final long FIRST_BETWEEN = 6;

    /** {@code cudnnPointwiseMode_t} */
    private static final int ADD = 0;
    private static final int MULTIPLY = 1;
    private static final int DIVIDE = 6;
    private static final int SUBTRACT = 9;
    private static final int EXPONENTIAL = 13;
    private static final int LOGARITHM = 15;
    /** {@code cudnnReduceTensorOp_t} */
    private static final int SUM = 0;
    private static final int MAXIMUM = 3;

    private final Dnn.AttentionShape shape;
    private long between = FIRST_BETWEEN;

    /** Makes the operations, which cuDNN checks without a GPU. */
    AttentionGraph(Cudnn cudnn, Dnn.AttentionShape shape) {
        super(cudnn, shape.type());
        this.shape = shape;
        try {
            addOperations();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private void addOperations() {
        int type = Cudnn.number(shape.type());
        Descriptor scale = tensor(SCALE, Cudnn.DATA_FLOAT, false, new long[] {1, 1, 1, 1}, new long[] {1, 1, 1, 1})
                .truth(Attribute.TENSOR_IS_BY_VALUE, true).finish();
        Dnn.Strides k = shape.k();
        // The first product is of Q and K transposed: the same memory, sizes and strides exchanged.
        Descriptor transposed = tensor(K, type, false, new long[] {shape.batch(), shape.heads(), shape.headSize(), shape.keys()},
                new long[] {k.batch(), k.head(), 1, k.token()}).finish();
        Descriptor scores = scores(Cudnn.DATA_FLOAT);
        multiply(operand(Q, shape.queries(), shape.q()), transposed, scores);
        Descriptor scaled = scores(Cudnn.DATA_FLOAT);
        pointwise(MULTIPLY, scores, scale, scaled);
        Descriptor highest = rows();
        reduce(MAXIMUM, scaled, highest);
        Descriptor shifted = scores(Cudnn.DATA_FLOAT);
        pointwise(SUBTRACT, scaled, highest, shifted);
        Descriptor powers = scores(Cudnn.DATA_FLOAT);
        pointwise(EXPONENTIAL, shifted, null, powers);
        Descriptor sum = rows();
        reduce(SUM, powers, sum);
        Descriptor logarithm = rows();
        pointwise(LOGARITHM, sum, null, logarithm);
        pointwise(ADD, highest, logarithm, rows());
        Descriptor weights = scores(type);
        pointwise(DIVIDE, powers, sum, weights);
        multiply(weights, operand(V, shape.keys(), shape.v()), operand(OUT, shape.queries(), shape.out()));
    }

    /** {@code [batch, heads, tokens, head size]} */
    private Descriptor operand(long id, int tokens, Dnn.Strides strides) {
        return tensor(id, Cudnn.number(shape.type()), false, new long[] {shape.batch(), shape.heads(), tokens, shape.headSize()},
                new long[] {strides.batch(), strides.head(), strides.token(), 1}).finish();
    }

    private Descriptor scores(int type) {
        long queries = shape.queries();
        long keys = shape.keys();
        return tensor(between++, type, true, new long[] {shape.batch(), shape.heads(), queries, keys},
                new long[] {shape.heads() * queries * keys, queries * keys, keys, 1}).finish();
    }

    /** One number for each row of scores. */
    private Descriptor rows() {
        long queries = shape.queries();
        return tensor(between++, Cudnn.DATA_FLOAT, true, new long[] {shape.batch(), shape.heads(), queries, 1},
                new long[] {shape.heads() * queries, queries, 1, 1}).finish();
    }

    private void multiply(Descriptor a, Descriptor b, Descriptor c) {
        Descriptor product = make(Descriptor.MATMUL)
                .number(Attribute.MATMUL_COMP_TYPE, Descriptor.TYPE_DATA_TYPE, Cudnn.DATA_FLOAT).finish();
        append(make(Descriptor.OPERATION_MATMUL)
                .descriptors(Attribute.OPERATION_MATMUL_ADESC, a)
                .descriptors(Attribute.OPERATION_MATMUL_BDESC, b)
                .descriptors(Attribute.OPERATION_MATMUL_CDESC, c)
                .descriptors(Attribute.OPERATION_MATMUL_DESC, product));
    }

    private void reduce(int operator, Descriptor x, Descriptor y) {
        Descriptor reduction = make(Descriptor.REDUCTION)
                .number(Attribute.REDUCTION_OPERATOR, Descriptor.TYPE_REDUCTION_OPERATOR, operator)
                .number(Attribute.REDUCTION_COMP_TYPE, Descriptor.TYPE_DATA_TYPE, Cudnn.DATA_FLOAT).finish();
        append(make(Descriptor.OPERATION_REDUCTION)
                .descriptors(Attribute.OPERATION_REDUCTION_XDESC, x)
                .descriptors(Attribute.OPERATION_REDUCTION_YDESC, y)
                .descriptors(Attribute.OPERATION_REDUCTION_DESC, reduction));
    }
}
