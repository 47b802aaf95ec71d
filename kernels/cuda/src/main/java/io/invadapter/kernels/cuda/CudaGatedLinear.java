package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;

/** The gated feed-forward's first half. A layer norm in front of it is folded into its weights, which serve both {@link GatedWays}. */
final class CudaGatedLinear implements CudaWeights, Device.GatedLinear {
    private final CudaPacker packer;
    private final CudaDevice device;
    private final int inFeatures;
    private final int outFeatures;
    private final long weight;
    private final long bias;
    /** 0 without a norm. */
    private final long sums;
    private final float epsilon;

    /** @param norm may be {@code null} */
    CudaGatedLinear(CudaPacker packer, HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        this.packer = packer;
        this.device = packer.device();
        this.inFeatures = weight.shape()[1];
        this.outFeatures = weight.shape()[0] / 2;
        DataType type = device.precision().type();
        WeightMemory memory = packer.memory();
        if (norm == null) {
            this.weight = memory.store(type, weight);
            this.bias = memory.store(type, bias);
            this.sums = 0;
            this.epsilon = 0;
        } else {
            FoldedNorm folded = FoldedNorm.of(type, weight, bias, norm);
            this.weight = memory.store(type, folded.weight());
            this.bias = memory.store(type, folded.bias());
            this.sums = memory.store(DataType.FLOAT32, folded.sums());
            this.epsilon = norm.epsilon();
            device.gatedWays().prepare(inFeatures, outFeatures);
        }
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
        int rows = x.vectors();
        if (sums == 0) {
            Tensor both = device.allocate(x.type(), rows, 2 * outFeatures);
            device.products().linear(x.address(), weight, 0, 0, both.address(), rows, inFeatures, 2 * outFeatures);
            device.pointwise().geglu(both.address(), bias, y.address(), rows, outFeatures, device.stream());
            return y;
        }
        GatedWays.How how = device.gatedWays().choose(rows, inFeatures, outFeatures, x.address() % 16 == 0);
        boolean together = how == GatedWays.How.TOGETHER;
        long normed = together ? 0 : device.allocate(x.type(), rows, inFeatures).address();
        long both = together ? 0 : device.allocate(x.type(), rows, 2 * outFeatures).address();
        device.gatedWays().run(how, new GatedWays.Size(x.type(), rows, inFeatures, outFeatures),
                new GatedWays.Places(x.address(), weight, bias, sums, normed, both, y.address()), epsilon);
        return y;
    }
}
