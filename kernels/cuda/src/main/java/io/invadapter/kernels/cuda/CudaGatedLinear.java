package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;

/** The gated feed-forward's first half: a layer norm if there is one in front of it, a product, and GEGLU with the bias. */
final class CudaGatedLinear implements CudaWeights, Device.GatedLinear {
    private final CudaPacker packer;
    private final CudaDevice device;
    private final int inFeatures;
    private final int outFeatures;
    private final long weight;
    private final long bias;
    /** {@code null} without one. */
    private final CudaNorm norm;
    private final float epsilon;

    /** @param norm may be {@code null} */
    CudaGatedLinear(CudaPacker packer, HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        this.packer = packer;
        this.device = packer.device();
        this.inFeatures = weight.shape()[1];
        this.outFeatures = weight.shape()[0] / 2;
        this.weight = packer.memory().store(device.precision().type(), weight);
        this.bias = packer.memory().store(device.precision().type(), bias);
        this.norm = norm == null ? null : packer.norm(norm.weight(), norm.bias());
        this.epsilon = norm == null ? 0 : norm.epsilon();
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

    Tensor run(Arguments arguments, Tensor x) {
        Tensor y = device.allocate(x.type(), arguments.gatedLinear(x, this));
        Tensor normed = norm == null ? x : norm.layer(arguments, x, epsilon);
        int rows = x.vectors();
        Tensor both = device.allocate(x.type(), rows, 2 * outFeatures);
        device.products().linear(normed.address(), weight, 0, 0, both.address(), rows, inFeatures, 2 * outFeatures);
        device.pointwise().geglu(both.address(), bias, y.address(), rows, outFeatures, device.stream());
        return y;
    }
}
