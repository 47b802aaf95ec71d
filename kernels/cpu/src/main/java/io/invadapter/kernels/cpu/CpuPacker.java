package io.invadapter.kernels.cpu;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import java.util.ArrayList;
import java.util.List;

/** Weights for oneDNN, and all memory that they lie in. */
final class CpuPacker implements Packer {
    private final CpuDevice device;
    private final Arguments arguments;
    private final List<Long> stored = new ArrayList<>();
    private final List<PackedWeights> packed = new ArrayList<>();
    private final List<CpuConvolution> convolutions = new ArrayList<>();
    private boolean closed;

    CpuPacker(CpuDevice device, Arguments arguments) {
        this.device = device;
        this.arguments = arguments;
    }

    CpuDevice device() {
        return device;
    }

    /**
     * @throws IllegalStateException    when the weights are freed
     * @throws IllegalArgumentException when they are for another device
     */
    void requireUsable(CpuDevice user) {
        requireOpen();
        if (user != device) {
            throw new IllegalArgumentException("weights for " + device.description() + " used on another device, " + user.description());
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("these weights are freed: their packer, or its device, is closed");
        }
    }

    /** Takes over weights. */
    PackedWeights own(PackedWeights weights) {
        packed.add(weights);
        return weights;
    }

    /** Keeps a weight in plain row-major order, at the address returned. */
    long store(DataType type, HostTensor source) {
        long address = device.store(type, source);
        stored.add(address);
        return address;
    }

    @Override
    public CpuLinear linear(HostTensor weight, HostTensor bias) {
        requireOpen();
        arguments.weights(weight, 2, bias);
        return CpuLinear.pack(this, weight, bias);
    }

    @Override
    public CpuWeights.GatedLinear gatedLinear(HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        requireOpen();
        arguments.gatedWeights(weight, bias, norm);
        int features = weight.shape()[0] / 2;
        return new CpuWeights.GatedLinear(this, norm == null ? null : norm(norm.weight(), norm.bias()),
                norm == null ? 0 : norm.epsilon(), linear(weight.rows(0, features), bias.rows(0, features)),
                linear(weight.rows(features, features), bias.rows(features, features)));
    }

    @Override
    public CpuWeights.TokenMixer tokenMixer(HostTensor weight) {
        requireOpen();
        arguments.weights(weight, 2, null);
        return new CpuWeights.TokenMixer(this, weight.shape()[1], weight.shape()[0], store(device.precision().type(), weight));
    }

    @Override
    public CpuConvolution convolution(HostTensor weight, HostTensor bias, int stride, Device.Padding padding, DataType outputType) {
        requireOpen();
        arguments.weights(weight, 4, bias);
        CpuConvolution convolution = new CpuConvolution(this, weight, bias, stride, padding, outputType);
        convolutions.add(convolution);
        return convolution;
    }

    @Override
    public CpuWeights.Norm norm(HostTensor weight, HostTensor bias) {
        requireOpen();
        arguments.weights(weight, 1, bias);
        return new CpuWeights.Norm(this, weight.shape()[0], store(DataType.FLOAT32, weight), store(DataType.FLOAT32, bias));
    }

    @Override
    public CpuWeights.Table table(HostTensor weight) {
        requireOpen();
        arguments.weights(weight, 2, null);
        DataType type = device.precision().type();
        return new CpuWeights.Table(this, weight.shape()[0], weight.shape()[1], type, store(type, weight));
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        NativeMemory memory = device.oneDnn().memory();
        stored.forEach(memory::free);
        stored.clear();
        packed.forEach(weights -> weights.free(memory));
        packed.clear();
        convolutions.forEach(CpuConvolution::free);
        convolutions.clear();
        device.forget(this);
        memory.returnFreed();
    }
}
