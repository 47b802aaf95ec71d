package io.invadapter.kernels.cuda.dnn;

/**
 * A convolution as an operation graph of cuDNN, in the order in which its compiled kernels are known to come:
 * {@code conv -> + residual -> + bias}. What lies between is float32 and never in memory.
 */
final class ConvolutionGraph extends OperationGraph {

    /** What it is made of. */
    enum Variant {
        /** {@code conv + bias}, with the residual between if there is one. */
        FUSED("graph conv+bias"),
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

    private static final int POINTWISE_ADD = 0;
    private static final int CROSS_CORRELATION = 1;

    private final Dnn.Shape shape;
    private final Variant variant;

    /** Makes the operations, which cuDNN checks without a GPU. */
    ConvolutionGraph(Cudnn cudnn, Dnn.Shape shape, Variant variant) {
        super(cudnn, shape.type());
        this.shape = shape;
        this.variant = variant;
        try {
            addOperations();
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private void addOperations() {
        int type = Cudnn.number(shape.type());
        long n = shape.batch();
        long k = shape.outChannels();
        Descriptor y = tensor(Y, type, false, n, k, shape.outHeight(), shape.outWidth());
        Descriptor sum = variant == Variant.PLAIN ? y : between(0);
        append(convolution(tensor(X, type, false, n, shape.inChannels(), shape.height(), shape.width()),
                tensor(W, type, false, k, shape.inChannels(), shape.kernelHeight(), shape.kernelWidth()), sum));
        if (addsAMap()) {
            Descriptor next = between(1);
            pointwise(POINTWISE_ADD, sum, tensor(RESIDUAL, type, false, n, k, shape.outHeight(), shape.outWidth()), next);
            sum = next;
        }
        if (addsBias()) {
            pointwise(POINTWISE_ADD, sum, tensor(BIAS, type, false, 1, k, 1, 1), y);
        }
    }

    /** Whether its variant pack names a {@link #RESIDUAL}. */
    boolean addsAMap() {
        return shape.residual();
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
        return tensor(id, type, virtual, new long[] {n, c, h, w}, new long[] {h * w * c, 1, w * c, c}).finish();
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
                .descriptors(Attribute.OPERATION_CONVOLUTION_FORWARD_Y, y);
    }
}
