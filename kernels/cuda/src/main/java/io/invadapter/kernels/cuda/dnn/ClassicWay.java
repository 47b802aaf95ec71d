package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import jcuda.Pointer;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnActivationDescriptor;
import jcuda.jcudnn.cudnnConvolutionDescriptor;
import jcuda.jcudnn.cudnnFilterDescriptor;
import jcuda.jcudnn.cudnnTensorDescriptor;

/**
 * cuDNN's classic calls: convolution, bias and residual in one, or one after the other. The first has a single algorithm when
 * there is no activation; the second takes whatever shape there is.
 *
 * <p>cuDNN pads channels itself where a tensor-core kernel wants a multiple of 8.
 */
final class ClassicWay implements Way {
    private static final int NHWC = 1;
    private static final int CROSS_CORRELATION = 1;
    private static final int ACTIVATION_IDENTITY = 5;
    private static final int NOT_PROPAGATE_NAN = 0;
    private static final int TENSOR_OP_MATH = 1;
    /** Plain float32; the default would be TF32. */
    private static final int FMA_MATH = 3;
    private static final int IMPLICIT_GEMM = 0;
    /** The only one that {@code cudnnConvolutionBiasActivationForward} takes with the identity as activation. */
    private static final int IMPLICIT_PRECOMP_GEMM = 1;

    private static final Pointer ZERO = Pointer.to(new float[] {0});
    private static final Pointer ONE = Pointer.to(new float[] {1});

    private final Cudnn cudnn;
    private final boolean fused;
    private final cudnnTensorDescriptor input = new cudnnTensorDescriptor();
    private final cudnnFilterDescriptor filter = new cudnnFilterDescriptor();
    private final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    private final cudnnTensorDescriptor biasShape = new cudnnTensorDescriptor();
    private final cudnnActivationDescriptor identity = new cudnnActivationDescriptor();
    private final cudnnTensorDescriptor output = new cudnnTensorDescriptor();
    private final long workspaceBytes;

    /** @param fused in one call */
    ClassicWay(Cudnn cudnn, Dnn.Shape shape, boolean fused) {
        this.cudnn = cudnn;
        this.fused = fused;
        int type = Cudnn.number(shape.type());
        tensor(input, type, shape.batch(), shape.inChannels(), shape.height(), shape.width());
        tensor(biasShape, type, 1, shape.outChannels(), 1, 1);
        tensor(output, type, shape.batch(), shape.outChannels(), shape.outHeight(), shape.outWidth());
        cudnn.check("cudnnCreateFilterDescriptor", JCudnn.cudnnCreateFilterDescriptor(filter));
        cudnn.check("cudnnSetFilter4dDescriptor", JCudnn.cudnnSetFilter4dDescriptor(filter, type, NHWC, shape.outChannels(),
                shape.inChannels(), shape.kernelHeight(), shape.kernelWidth()));
        cudnn.check("cudnnCreateConvolutionDescriptor", JCudnn.cudnnCreateConvolutionDescriptor(convolution));
        cudnn.check("cudnnSetConvolution2dDescriptor", JCudnn.cudnnSetConvolution2dDescriptor(convolution, shape.padding(),
                shape.padding(), shape.stride(), shape.stride(), 1, 1, CROSS_CORRELATION, Cudnn.DATA_FLOAT));
        cudnn.check("cudnnSetConvolutionMathType", JCudnn.cudnnSetConvolutionMathType(convolution,
                shape.type() == DataType.FLOAT32 ? FMA_MATH : TENSOR_OP_MATH));
        cudnn.check("cudnnCreateActivationDescriptor", JCudnn.cudnnCreateActivationDescriptor(identity));
        cudnn.check("cudnnSetActivationDescriptor",
                JCudnn.cudnnSetActivationDescriptor(identity, ACTIVATION_IDENTITY, NOT_PROPAGATE_NAN, 0));
        long[] bytes = new long[1];
        cudnn.check("cudnnGetConvolutionForwardWorkspaceSize", JCudnn.cudnnGetConvolutionForwardWorkspaceSize(cudnn.handle(),
                input, filter, convolution, output, algorithm(), bytes));
        workspaceBytes = bytes[0];
    }

    private void tensor(cudnnTensorDescriptor tensor, int type, int n, int c, int h, int w) {
        cudnn.check("cudnnCreateTensorDescriptor", JCudnn.cudnnCreateTensorDescriptor(tensor));
        cudnn.check("cudnnSetTensor4dDescriptor", JCudnn.cudnnSetTensor4dDescriptor(tensor, NHWC, type, n, c, h, w));
    }

    private int algorithm() {
        return fused ? IMPLICIT_PRECOMP_GEMM : IMPLICIT_GEMM;
    }

    @Override
    public String name() {
        return fused ? "one classic call" : "classic calls one after the other";
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void run(long x, long w, long bias, long residual, long y, long workspace) {
        if (fused) {
            // Without a residual its factor is 0, but it must still be some tensor of that shape.
            cudnn.check("cudnnConvolutionBiasActivationForward", JCudnn.cudnnConvolutionBiasActivationForward(cudnn.handle(),
                    ONE, input, Cudnn.at(x), filter, Cudnn.at(w), convolution, algorithm(), Cudnn.at(workspace),
                    workspaceBytes, residual == 0 ? ZERO : ONE, output, Cudnn.at(residual == 0 ? y : residual), biasShape,
                    Cudnn.at(bias), identity, output, Cudnn.at(y)));
            return;
        }
        cudnn.check("cudnnConvolutionForward", JCudnn.cudnnConvolutionForward(cudnn.handle(), ONE, input, Cudnn.at(x), filter,
                Cudnn.at(w), convolution, algorithm(), Cudnn.at(workspace), workspaceBytes, ZERO, output, Cudnn.at(y)));
        cudnn.check("cudnnAddTensor of the bias",
                JCudnn.cudnnAddTensor(cudnn.handle(), ONE, biasShape, Cudnn.at(bias), ONE, output, Cudnn.at(y)));
        if (residual != 0) {
            cudnn.check("cudnnAddTensor of the residual",
                    JCudnn.cudnnAddTensor(cudnn.handle(), ONE, output, Cudnn.at(residual), ONE, output, Cudnn.at(y)));
        }
    }

    @Override
    public void close() {
        cudnn.check("cudnnDestroyTensorDescriptor", JCudnn.cudnnDestroyTensorDescriptor(input));
        cudnn.check("cudnnDestroyTensorDescriptor", JCudnn.cudnnDestroyTensorDescriptor(biasShape));
        cudnn.check("cudnnDestroyTensorDescriptor", JCudnn.cudnnDestroyTensorDescriptor(output));
        cudnn.check("cudnnDestroyFilterDescriptor", JCudnn.cudnnDestroyFilterDescriptor(filter));
        cudnn.check("cudnnDestroyConvolutionDescriptor", JCudnn.cudnnDestroyConvolutionDescriptor(convolution));
        cudnn.check("cudnnDestroyActivationDescriptor", JCudnn.cudnnDestroyActivationDescriptor(identity));
    }
}
