package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.IntSupplier;
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
final class ClassicWay implements Dnn.Plan {

    /** How it is asked for. */
    enum Kind {
        /** In one call; the only algorithm that takes the identity as activation. */
        FUSED("classic call", IMPLICIT_PRECOMP_GEMM),
        SEPARATE("classic calls one after the other", IMPLICIT_PRECOMP_GEMM),
        /** The algorithm that always works, and has no tensor cores. */
        SIMPLE("classic calls one after the other, implicit GEMM", IMPLICIT_GEMM);

        final String title;
        private final int algorithm;

        Kind(String title, int algorithm) {
            this.title = title;
            this.algorithm = algorithm;
        }
    }

    private static final int NHWC = 1;
    private static final int CROSS_CORRELATION = 1;
    private static final int ACTIVATION_IDENTITY = 5;
    private static final int NOT_PROPAGATE_NAN = 0;
    private static final int TENSOR_OP_MATH = 1;
    /** Plain float32; the default would be TF32. */
    private static final int FMA_MATH = 3;
    private static final int IMPLICIT_GEMM = 0;
    private static final int IMPLICIT_PRECOMP_GEMM = 1;

    private static final Pointer ZERO = Pointer.to(new float[] {0});
    private static final Pointer ONE = Pointer.to(new float[] {1});

    private final JCudnnDnn dnn;
    private final Cudnn cudnn;
    private final Dnn.Shape shape;
    private final Kind kind;
    private final cudnnTensorDescriptor input = new cudnnTensorDescriptor();
    private final cudnnFilterDescriptor filter = new cudnnFilterDescriptor();
    private final cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    private final cudnnTensorDescriptor biasShape = new cudnnTensorDescriptor();
    private final cudnnActivationDescriptor identity = new cudnnActivationDescriptor();
    private final cudnnTensorDescriptor output = new cudnnTensorDescriptor();
    /** What undoes it. */
    private final Deque<IntSupplier> made = new ArrayDeque<>();
    private final long workspaceBytes;

    /** @throws io.invadapter.kernels.DeviceException when cuDNN refuses the shape, or the kind for it */
    ClassicWay(JCudnnDnn dnn, Dnn.Shape shape, Kind kind) {
        this.dnn = dnn;
        this.cudnn = dnn.cudnn();
        this.shape = shape;
        this.kind = kind;
        try {
            describe();
            long[] bytes = new long[1];
            cudnn.check("cudnnGetConvolutionForwardWorkspaceSize", JCudnn.cudnnGetConvolutionForwardWorkspaceSize(cudnn.handle(),
                    input, filter, convolution, output, kind.algorithm, bytes));
            workspaceBytes = bytes[0];
        } catch (RuntimeException e) {
            destroy();
            throw e;
        }
    }

    private void describe() {
        int type = Cudnn.number(shape.type());
        tensor(input, type, shape.batch(), shape.inChannels(), shape.height(), shape.width());
        tensor(biasShape, type, 1, shape.outChannels(), 1, 1);
        tensor(output, type, shape.batch(), shape.outChannels(), shape.outHeight(), shape.outWidth());
        cudnn.check("cudnnCreateFilterDescriptor", JCudnn.cudnnCreateFilterDescriptor(filter));
        made.push(() -> JCudnn.cudnnDestroyFilterDescriptor(filter));
        cudnn.check("cudnnSetFilter4dDescriptor", JCudnn.cudnnSetFilter4dDescriptor(filter, type, NHWC, shape.outChannels(),
                shape.inChannels(), shape.kernelHeight(), shape.kernelWidth()));
        cudnn.check("cudnnCreateConvolutionDescriptor", JCudnn.cudnnCreateConvolutionDescriptor(convolution));
        made.push(() -> JCudnn.cudnnDestroyConvolutionDescriptor(convolution));
        cudnn.check("cudnnSetConvolution2dDescriptor", JCudnn.cudnnSetConvolution2dDescriptor(convolution, shape.padding(),
                shape.padding(), shape.stride(), shape.stride(), 1, 1, CROSS_CORRELATION, Cudnn.DATA_FLOAT));
        cudnn.check("cudnnSetConvolutionMathType", JCudnn.cudnnSetConvolutionMathType(convolution,
                shape.type() == DataType.FLOAT32 ? FMA_MATH : TENSOR_OP_MATH));
        cudnn.check("cudnnCreateActivationDescriptor", JCudnn.cudnnCreateActivationDescriptor(identity));
        made.push(() -> JCudnn.cudnnDestroyActivationDescriptor(identity));
        cudnn.check("cudnnSetActivationDescriptor",
                JCudnn.cudnnSetActivationDescriptor(identity, ACTIVATION_IDENTITY, NOT_PROPAGATE_NAN, 0));
    }

    private void tensor(cudnnTensorDescriptor tensor, int type, int n, int c, int h, int w) {
        cudnn.check("cudnnCreateTensorDescriptor", JCudnn.cudnnCreateTensorDescriptor(tensor));
        made.push(() -> JCudnn.cudnnDestroyTensorDescriptor(tensor));
        cudnn.check("cudnnSetTensor4dDescriptor", JCudnn.cudnnSetTensor4dDescriptor(tensor, NHWC, type, n, c, h, w));
    }

    @Override
    public boolean addsBias() {
        return true;
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
        dnn.on(stream, shape, residual, () -> {
            if (kind == Kind.FUSED) {
                together(x, w, bias, residual, y, workspace);
            } else {
                oneAfterTheOther(x, w, bias, residual, y, workspace);
            }
        });
    }

    private void together(long x, long w, long bias, long residual, long y, long workspace) {
        // Without a residual its factor is 0, but it must still be some tensor of that shape.
        cudnn.check("cudnnConvolutionBiasActivationForward", JCudnn.cudnnConvolutionBiasActivationForward(cudnn.handle(), ONE,
                input, Cudnn.at(x), filter, Cudnn.at(w), convolution, kind.algorithm, Cudnn.at(workspace), workspaceBytes,
                residual == 0 ? ZERO : ONE, output, Cudnn.at(residual == 0 ? y : residual), biasShape, Cudnn.at(bias), identity,
                output, Cudnn.at(y)));
    }

    private void oneAfterTheOther(long x, long w, long bias, long residual, long y, long workspace) {
        cudnn.check("cudnnConvolutionForward", JCudnn.cudnnConvolutionForward(cudnn.handle(), ONE, input, Cudnn.at(x), filter,
                Cudnn.at(w), convolution, kind.algorithm, Cudnn.at(workspace), workspaceBytes, ZERO, output, Cudnn.at(y)));
        cudnn.check("cudnnAddTensor of the bias",
                JCudnn.cudnnAddTensor(cudnn.handle(), ONE, biasShape, Cudnn.at(bias), ONE, output, Cudnn.at(y)));
        if (residual != 0) {
            cudnn.check("cudnnAddTensor of the residual",
                    JCudnn.cudnnAddTensor(cudnn.handle(), ONE, output, Cudnn.at(residual), ONE, output, Cudnn.at(y)));
        }
    }

    private void destroy() {
        while (!made.isEmpty()) {
            cudnn.check("destroying a descriptor", made.pop().getAsInt());
        }
    }

    @Override
    public void close() {
        dnn.release(this::destroy);
    }
}
