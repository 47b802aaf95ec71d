package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;

/**
 * The gated feed-forward's first half. A layer norm in front of it is folded into its weights, which serve two ways of doing
 * it: one launch of gated_linear.cu, or a layer norm without scale and shift, cuBLAS's product and GEGLU.
 */
final class CudaGatedLinear implements Device.GatedLinear {
    private final CudaDevice device;
    private final int inFeatures;
    private final int outFeatures;
    private final long weight;
    private final long bias;
    /** Those three only where there is a norm. */
    private final long sums;
    private final Device.Norm plain;
    private final float epsilon;

    /** @param norm may be {@code null} */
    CudaGatedLinear(CudaDevice device, WeightMemory memory, HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        this.device = device;
        this.inFeatures = weight.shape()[1];
        this.outFeatures = weight.shape()[0] / 2;
        DataType type = device.precision().type();
        if (norm == null) {
            this.weight = memory.store(type, weight);
            this.bias = memory.store(type, bias);
            this.sums = 0;
            this.plain = null;
            this.epsilon = 0;
        } else {
            FoldedNorm folded = FoldedNorm.of(type, weight, bias, norm);
            this.weight = memory.store(type, folded.weight());
            this.bias = memory.store(type, folded.bias());
            this.sums = memory.store(DataType.FLOAT32, folded.sums());
            this.plain = device.plainNorm(inFeatures);
            this.epsilon = norm.epsilon();
            device.gatedProduct().prepare(inFeatures, outFeatures);
        }
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
        int rows = Math.toIntExact(x.elements() / inFeatures);
        if (plain != null && device.gatedProduct().serves(inFeatures, outFeatures) && x.address() % 16 == 0) {
            device.gatedProduct().normedGeglu(x.address(), weight, sums, bias, y.address(), rows, inFeatures, outFeatures, epsilon,
                    device.stream());
        } else {
            Tensor both = device.allocate(x.type(), rows, 2 * outFeatures);
            device.multiply(plain == null ? x : device.layerNorm(x, plain, epsilon), weight, both);
            device.geglu(both, bias, y);
        }
        return y;
    }
}
