package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;

/** A norm's weights, scale and shift of each channel, and how group and layer norms are computed with them. */
final class CudaNorm implements CudaWeights, Device.Norm {
    private final CudaPacker packer;
    private final CudaDevice device;
    private final int channels;
    private final long scale;
    private final long shift;

    /** @param bias may be {@code null} */
    CudaNorm(CudaPacker packer, HostTensor weight, HostTensor bias) {
        this.packer = packer;
        this.device = packer.device();
        DataType type = device.precision().type();
        this.channels = weight.shape()[0];
        this.scale = packer.memory().store(type, weight);
        this.shift = bias == null ? 0 : packer.memory().store(type, bias);
    }

    @Override
    public CudaPacker packer() {
        return packer;
    }

    @Override
    public int channels() {
        return channels;
    }

    Tensor group(Arguments arguments, Tensor x, int groups, float epsilon, boolean silu) {
        arguments.groupNorm(x, this, groups);
        Tensor y = device.allocate(x.type(), x.shape());
        device.normalisation().groupNorm(x.address(), scale, shift, y.address(), device.normWorkspace(), x.batch(), x.positions(),
                channels, groups, epsilon, silu, device.stream());
        return y;
    }

    Tensor group(Arguments arguments, Tensor x, Tensor statistics, boolean silu) {
        arguments.groupNorm(x, this, statistics);
        Tensor y = device.allocate(x.type(), x.shape());
        device.normalisation().groupNorm(x.address(), statistics.address(), scale, shift, y.address(), x.batch(), x.positions(),
                channels, statistics.size(1), silu, device.stream());
        return y;
    }

    Device.Joined joined(Arguments arguments, Tensor a, Tensor b, int groups, float epsilon, boolean silu) {
        int[] shape = arguments.joinedGroupNorm(a, b, this, groups);
        Device.Joined both = new Device.Joined(device.allocate(a.type(), shape), device.allocate(a.type(), shape));
        device.normalisation().joinedGroupNorm(a.address(), a.channels(), b.address(), b.channels(), both.map().address(), scale,
                shift, both.normed().address(), device.normWorkspace(), a.batch(), a.positions(), groups, epsilon, silu,
                device.stream());
        return both;
    }

    Tensor layer(Arguments arguments, Tensor x, float epsilon) {
        arguments.layerNorm(x, this);
        Tensor y = device.allocate(x.type(), x.shape());
        device.normalisation().layerNorm(x.address(), scale, shift, y.address(), x.vectors(),
                channels, epsilon, device.stream());
        return y;
    }
}
