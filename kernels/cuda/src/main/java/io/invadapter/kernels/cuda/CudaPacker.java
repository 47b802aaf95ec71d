package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;

/**
 * Weights on the GPU, and the memory that they lie in. Whoever packs a layer will use it: its kernels are loaded while the other
 * weights are read.
 */
final class CudaPacker implements Packer {
    private final CudaDevice device;
    private final Arguments arguments;
    private final WeightMemory memory;
    private boolean closed;

    CudaPacker(CudaDevice device, Arguments arguments) {
        this.device = device;
        this.arguments = arguments;
        this.memory = new WeightMemory(device.driver());
    }

    CudaDevice device() {
        return device;
    }

    /** Where the weights lie. */
    WeightMemory memory() {
        return memory;
    }

    /**
     * @throws IllegalStateException    when the weights are freed
     * @throws IllegalArgumentException when they are for another device
     */
    void requireUsable(CudaDevice user) {
        requireOpen();
        if (user != device) {
            throw new IllegalArgumentException("weights for " + device.name() + " in " + device.precision() + " used on another device, "
                    + user.name() + " in " + user.precision());
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("these weights are freed: their packer, or its device, is closed");
        }
    }

    @Override
    public CudaLinear linear(HostTensor weight, HostTensor bias) {
        requireOpen();
        arguments.weights(weight, 2, bias);
        device.library().prepare("add", "add");
        return new CudaLinear(this, weight, bias);
    }

    @Override
    public CudaGatedLinear gatedLinear(HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        requireOpen();
        arguments.gatedWeights(weight, bias, norm);
        device.library().prepare("geglu", "geglu");
        // It stands in transformers only.
        device.attention().prepare(weight.shape()[1]);
        return new CudaGatedLinear(this, weight, bias, norm);
    }

    @Override
    public CudaTokenMixer tokenMixer(HostTensor weight) {
        requireOpen();
        arguments.weights(weight, 2, null);
        // It stands in front of a second source of attention only.
        device.attention().prepareSources(weight.shape()[1]);
        return new CudaTokenMixer(this, weight);
    }

    @Override
    public CudaConvolution convolution(HostTensor weight, HostTensor bias, int stride, Device.Padding padding, DataType outputType) {
        requireOpen();
        arguments.weights(weight, 4, bias);
        return new CudaConvolution(this, weight, bias, stride, padding, outputType);
    }

    @Override
    public CudaNorm norm(HostTensor weight, HostTensor bias) {
        requireOpen();
        arguments.weights(weight, 1, bias);
        device.normalisation().prepare(weight.shape()[0]);
        return new CudaNorm(this, weight, bias);
    }

    @Override
    public CudaTable table(HostTensor weight) {
        requireOpen();
        arguments.weights(weight, 2, null);
        return new CudaTable(this, weight.shape()[0], weight.shape()[1], memory.store(device.precision().type(), weight));
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        device.settle();
        memory.close();
        device.forget(this);
    }
}
