package io.invadapter.engine.nn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.util.function.Function;

/**
 * Reads the layers of a network by name and hands them to its packer. Names are relative to a prefix, as in PyTorch's
 * modules; a missing or wrongly shaped tensor is a {@link WeightException} that names it.
 */
public final class Weights {
    private final WeightSource source;
    private final Device device;
    private final Packer packer;
    private final String prefix;

    private Weights(WeightSource source, Device device, Packer packer, String prefix) {
        this.source = source;
        this.device = device;
        this.packer = packer;
        this.prefix = prefix;
    }

    /**
     * Makes a network of weights, which it owns: closing it closes their {@link #packer()}. When it cannot be made, what was packed
     * is freed.
     */
    public static <N extends Network> N load(WeightSource source, Device device, Function<Weights, N> network) {
        Packer packer = device.packer();
        try {
            return network.apply(new Weights(source, device, packer, ""));
        } catch (RuntimeException | Error e) {
            packer.close();
            throw e;
        }
    }

    public Device device() {
        return device;
    }

    /** Of all layers of the network. */
    public Packer packer() {
        return packer;
    }

    /** The module called {@code name} inside this one. */
    public Weights in(String name) {
        return new Weights(source, device, packer, prefix + name + ".");
    }

    /** This module's own name. */
    public String name() {
        return prefix.isEmpty() ? "" : prefix.substring(0, prefix.length() - 1);
    }

    public boolean has(String name) {
        return source.contains(prefix + name);
    }

    public HostTensor tensor(String name, int... shape) {
        long[] expected = new long[shape.length];
        for (int i = 0; i < shape.length; i++) {
            expected[i] = shape[i];
        }
        return host(source.tensor(prefix + name, expected), shape);
    }

    private HostTensor host(WeightTensor tensor, int[] shape) {
        return switch (tensor.dtype()) {
            case F32 -> new HostTensor(DataType.FLOAT32, shape, tensor.data());
            case F16 -> new HostTensor(DataType.FLOAT16, shape, tensor.data());
            case BF16 -> new HostTensor(DataType.BFLOAT16, shape, tensor.data());
            case F64 -> HostTensor.of(tensor.toFloats(), shape);
            default -> throw new WeightException(source.description() + ": tensor '" + tensor.name() + "' is "
                    + tensor.dtype() + "; expected floating-point weights (F16, BF16, F32 or F64)");
        };
    }

    /** A matrix that is stored as {@code [out, in]} or, in some files, as a 1x1 convolution {@code [out, in, 1, 1]}. */
    public HostTensor matrix(String name, int out, int in) {
        boolean convolution = source.contains(prefix + name) && source.tensor(prefix + name).shape().length == 4;
        return convolution ? tensor(name, out, in, 1, 1).reshape(out, in) : tensor(name, out, in);
    }

    /** A matrix {@code [out, in]} of any number of rows. */
    public HostTensor matrixOf(String name, int in) {
        long[] shape = source.tensor(prefix + name).shape();
        return tensor(name, shape.length == 2 && shape[0] > 0 && shape[0] <= Integer.MAX_VALUE ? (int) shape[0] : in, in);
    }

    /** The linear layer called {@code name}, with a bias. */
    public Device.Linear linear(String name, int in, int out) {
        return packer.linear(matrix(name + ".weight", out, in), tensor(name + ".bias", out));
    }

    /** Several linear layers of the same input, without bias, as one. */
    public Device.Linear fused(int in, int out, String... names) {
        HostTensor[] parts = new HostTensor[names.length];
        for (int i = 0; i < names.length; i++) {
            parts[i] = matrix(names[i] + ".weight", out, in);
        }
        return packer.linear(parts.length == 1 ? parts[0] : HostTensor.stack(parts), null);
    }

    /** Several linear layers of the same input, with bias, as one. */
    public Device.Linear fusedWithBias(int in, int out, String... names) {
        HostTensor[] weights = new HostTensor[names.length];
        HostTensor[] biases = new HostTensor[names.length];
        for (int i = 0; i < names.length; i++) {
            weights[i] = matrix(names[i] + ".weight", out, in);
            biases[i] = tensor(names[i] + ".bias", out);
        }
        return packer.linear(HostTensor.stack(weights), HostTensor.stack(biases));
    }

    /** The square convolution called {@code name}, padded so that the size stays. */
    public Device.Convolution convolution(String name, int in, int out, int size) {
        return convolution(name, in, out, size, 1, Device.Padding.same(size / 2), device.precision().type());
    }

    /** The same, for whoever adds the bias otherwise. */
    public Device.Convolution convolutionWithoutBias(String name, int in, int out, int size) {
        return packer.convolution(tensor(name + ".weight", out, in, size, size), null, 1, Device.Padding.same(size / 2),
                device.precision().type());
    }

    public Device.Convolution convolution(String name, int in, int out, int size, int stride, Device.Padding padding,
            DataType outputType) {
        return packer.convolution(tensor(name + ".weight", out, in, size, size), tensor(name + ".bias", out), stride,
                padding, outputType);
    }

    public Device.Norm norm(String name, int channels) {
        return packer.norm(tensor(name + ".weight", channels), tensor(name + ".bias", channels));
    }
}
