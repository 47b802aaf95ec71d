package io.invadapter.engine.pipeline;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;

/** The CPU in float32 with as much memory for weights and tensors as it is told. */
final class TightDevice extends ForwardingDevice {
    static final long PLENTY = 1L << 40;

    private final Map<Long, Tensor> tensors = new HashMap<>();
    private long weights;
    private long memory = PLENTY;
    private long most;
    private int freed;
    /** Whether it says how much there is; else that is found out when there is none. */
    boolean tells = true;
    boolean prefersLargeBatches;

    TightDevice() {
        super(Devices.open("cpu", Precision.FP32, notice -> { }));
    }

    /** From now on, and counts anew. */
    void have(long bytes) {
        memory = bytes;
        most = 0;
        freed = 0;
    }

    /** Bytes of all that was there at once, at most. */
    long most() {
        return most;
    }

    /** Bytes of the weights that are there. */
    long weights() {
        return weights;
    }

    /** Networks whose weights were freed. */
    int freed() {
        return freed;
    }

    /** Bytes of the tensors that are there. */
    long tensors() {
        tensors.values().removeIf(tensor -> {
            try {
                return tensor.address() == 0;
            } catch (IllegalStateException e) {
                return true;
            }
        });
        return tensors.values().stream().mapToLong(Tensor::bytes).sum();
    }

    private void take() {
        long taken = weights + tensors();
        if (taken > memory) {
            throw new OutOfDeviceMemoryException("no memory left, says the test");
        }
        most = Math.max(most, taken);
    }

    private <T> T seen(T result) {
        if (result instanceof Tensor tensor) {
            tensors.put(tensor.address(), tensor);
            take();
        }
        return result;
    }

    @Override
    public long reachableMemory() {
        return tells ? Math.max(0, memory - weights - tensors()) : PLENTY;
    }

    @Override
    public boolean prefersLargeBatches() {
        return prefersLargeBatches;
    }

    @Override
    public Tensor allocate(DataType type, int... shape) {
        return seen(super.allocate(type, shape));
    }

    @Override
    public Tensor upload(DataType type, float[] values, int... shape) {
        return seen(super.upload(type, values, shape));
    }

    @Override
    protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
        return seen(work.get());
    }

    @Override
    public Packer packer() {
        Packer packer = super.packer();
        return new Packer() {
            private long own;

            private void count(HostTensor... parts) {
                for (HostTensor part : parts) {
                    long bytes = part == null ? 0 : Arrays.stream(part.shape()).asLongStream().reduce(4, (a, b) -> a * b);
                    own += bytes;
                    weights += bytes;
                }
                take();
            }

            @Override
            public Linear linear(HostTensor weight, HostTensor bias) {
                count(weight, bias);
                return packer.linear(weight, bias);
            }

            @Override
            public GatedLinear gatedLinear(HostTensor weight, HostTensor bias, LayerNorm norm) {
                count(weight, bias);
                return packer.gatedLinear(weight, bias, norm);
            }

            @Override
            public TokenMixer tokenMixer(HostTensor weight) {
                count(weight);
                return packer.tokenMixer(weight);
            }

            @Override
            public Convolution convolution(HostTensor weight, HostTensor bias, int stride, Padding padding, DataType outputType) {
                count(weight, bias);
                return packer.convolution(weight, bias, stride, padding, outputType);
            }

            @Override
            public Norm norm(HostTensor weight, HostTensor bias) {
                count(weight, bias);
                return packer.norm(weight, bias);
            }

            @Override
            public Table table(HostTensor weight) {
                count(weight);
                return packer.table(weight);
            }

            @Override
            public void close() {
                freed += own == 0 ? 0 : 1;
                weights -= own;
                own = 0;
                packer.close();
            }
        };
    }
}
