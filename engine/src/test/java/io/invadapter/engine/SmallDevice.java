package io.invadapter.engine;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** The CPU with as much memory for tensors as it is told. */
public final class SmallDevice extends ForwardingDevice {
    public static final long PLENTY = 1L << 40;

    private final List<Tensor> tensors = new ArrayList<>();
    private long memory = PLENTY;
    private long most;
    private int strips;
    private long convolved;

    public SmallDevice(Precision precision) {
        super(Devices.open("cpu", precision, notice -> { }));
    }

    /** From now on, and counts anew. */
    public void have(long bytes) {
        memory = bytes;
        most = 0;
        strips = 0;
        convolved = 0;
    }

    /** Bytes of all tensors that lived at once, at most. */
    public long most() {
        return most;
    }

    /** How often the statistics of a part of a map were asked for. */
    public int strips() {
        return strips;
    }

    /** Numbers that convolutions came to. */
    public long convolved() {
        return convolved;
    }

    @Override
    public long reachableMemory() {
        return Math.max(0, memory - held());
    }

    private long held() {
        Map<Long, Long> blocks = new HashMap<>();
        tensors.removeIf(tensor -> {
            try {
                blocks.put(tensor.address(), tensor.bytes());
                return false;
            } catch (IllegalStateException e) {
                return true;
            }
        });
        return blocks.values().stream().mapToLong(Long::longValue).sum();
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
        strips += operator.equals("groupStatistics") ? 1 : 0;
        T result = work.get();
        if (result instanceof Tensor tensor) {
            convolved += operator.equals("conv2d") ? tensor.elements() : 0;
            seen(tensor);
        }
        return result;
    }

    private Tensor seen(Tensor tensor) {
        tensors.add(tensor);
        most = Math.max(most, held());
        return tensor;
    }
}
