package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;

/** A linear layer's weights, {@code [out, in]}, and how it is computed: in one launch unless there is an activation. */
final class CudaLinear implements CudaWeights, Device.Linear {
    private final CudaPacker packer;
    private final CudaDevice device;
    private final int inFeatures;
    private final int outFeatures;
    private final long weight;
    private final long bias;

    /** @param bias may be {@code null} */
    CudaLinear(CudaPacker packer, HostTensor weight, HostTensor bias) {
        this.packer = packer;
        this.device = packer.device();
        this.outFeatures = weight.shape()[0];
        this.inFeatures = weight.shape()[1];
        this.weight = packer.memory().store(device.precision().type(), weight);
        this.bias = bias == null ? 0 : packer.memory().store(device.precision().type(), bias);
    }

    @Override
    public CudaPacker packer() {
        return packer;
    }

    @Override
    public int inFeatures() {
        return inFeatures;
    }

    @Override
    public int outFeatures() {
        return outFeatures;
    }

    Tensor run(Arguments arguments, Tensor x, Device.Activation activation, Tensor residual) {
        Tensor y = device.allocate(x.type(), arguments.linear(x, this, residual));
        long added = residual == null ? 0 : residual.address();
        if (activation == Device.Activation.NONE) {
            multiply(x, bias, added, y);
        } else {
            // cublasLt's GELU is the one with tanh, and it has neither SiLU nor the quick GELU.
            multiply(x, 0, 0, y);
            device.pointwise().add(y.address(), bias, activation, added, y.address(), y.vectors(), outFeatures, device.stream());
        }
        return y;
    }

    void into(Arguments arguments, Tensor x, Tensor target) {
        arguments.linearInto(x, this, target);
        multiply(x, bias, 0, target);
    }

    private void multiply(Tensor x, long shift, long residual, Tensor y) {
        device.products().linear(x.address(), weight, shift, residual, y.address(), y.vectors(), inFeatures, outFeatures);
    }
}
