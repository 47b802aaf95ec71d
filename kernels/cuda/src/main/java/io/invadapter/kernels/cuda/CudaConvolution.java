package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.dnn.Dnn;

/** A convolution's weights as cuDNN likes them, {@code [out, kh, kw, in]}, and how cuDNN is asked for one. */
final class CudaConvolution implements CudaWeights, Device.Convolution {
    private final CudaPacker packer;
    private final CudaDevice device;
    private final int inChannels;
    private final int outChannels;
    private final int kernelHeight;
    private final int kernelWidth;
    private final int stride;
    private final Device.Padding padding;
    private final boolean widened;
    private final long weight;
    private final long bias;
    private final boolean biased;

    CudaConvolution(CudaPacker packer, HostTensor weight, HostTensor bias, int stride,
                    Device.Padding padding, DataType outputType) {
        this.packer = packer;
        this.device = packer.device();
        this.outChannels = weight.shape()[0];
        this.inChannels = weight.shape()[1];
        this.kernelHeight = weight.shape()[2];
        this.kernelWidth = weight.shape()[3];
        this.stride = stride;
        this.padding = padding;
        DataType type = device.precision().type();
        this.widened = outputType == DataType.FLOAT32 && type != DataType.FLOAT32;
        this.weight = packer.memory().storeChannelsLast(type, weight);
        this.biased = bias != null;
        // cuDNN always adds one.
        this.bias = packer.memory().store(type, biased ? bias : HostTensor.of(new float[outChannels], outChannels));
    }

    @Override
    public CudaPacker packer() {
        return packer;
    }

    @Override
    public int inChannels() {
        return inChannels;
    }

    @Override
    public int outChannels() {
        return outChannels;
    }

    @Override
    public int kernelHeight() {
        return kernelHeight;
    }

    @Override
    public int kernelWidth() {
        return kernelWidth;
    }

    Tensor run(Arguments arguments, Tensor x, Tensor shift, Tensor residual) {
        boolean map = x.rank() == 4;
        int height = map ? extent(x.size(1) + padding.top() + padding.bottom(), kernelHeight) : 0;
        int width = map ? extent(x.size(2) + padding.left() + padding.right(), kernelWidth) : 0;
        arguments.convolution(x, this, shift, height, width);
        Tensor y = device.allocate(x.type(), x.batch(), height, width, outChannels);
        // In float32 the result is only converted, so what is added to it is added afterwards.
        Tensor result = widened ? device.allocate(DataType.FLOAT32, y.shape()) : y;
        arguments.residual(residual, result);
        boolean shiftOfEach = shift != null && shift.batch() > 1;
        Tensor together = widened || shiftOfEach ? null : residual;
        // cuDNN pads all sides alike; anything else is padded beforehand.
        boolean even = padding.equals(Device.Padding.same(padding.top()));
        Tensor input = even ? x : device.maps().padded(x, padding);
        ConvolutionPlans.Entry plan = device.convolutions().plan(new Dnn.Shape(x.type(), x.batch(), input.size(1), input.size(2),
                inChannels, outChannels, kernelHeight, kernelWidth, stride, even ? padding.top() : 0, together != null));
        plan.run(input.address(), weight, shift == null || shiftOfEach ? bias : shifted(shift), together == null ? 0 : together.address(),
                y.address());
        if (shiftOfEach) {
            device.maps().shift(y, shift, widened ? null : residual);
        }
        if (widened) {
            device.maps().widen(y, residual, result);
        }
        return result;
    }

    private int extent(int padded, int kernel) {
        return padded < kernel ? 0 : (padded - kernel) / stride + 1;
    }

    /** The layer's bias and the shift in one vector: what every position gets is a bias too. */
    private long shifted(Tensor shift) {
        return !biased && shift.address() % 16 == 0 ? shift.address() : device.maps().sum(shift, bias).address();
    }
}
