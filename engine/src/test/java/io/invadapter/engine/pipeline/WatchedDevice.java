package io.invadapter.engine.pipeline;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Tensor;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/** The CPU in float32, watched: what memory it hands out, and what it would do were it another device. */
public class WatchedDevice extends ForwardingDevice {
    private final Map<Tensor, Boolean> kept = new IdentityHashMap<>();

    /** Of every tensor that was ever handed out. */
    final Set<Long> addresses = new HashSet<>();
    /** How often each operator was called: by its name and what it is given first. */
    final Map<String, Integer> calls = new HashMap<>();
    boolean prefersLargeBatches;
    /** Calls of {@link Device#allocate} until one finds no memory; negative: never. */
    int allocationsLeft = -1;
    /** Rows of a tensor for which there is memory at most; 0: any number. */
    int mostRows;
    /** What there is of memory, in bytes. */
    long reachableMemory = Long.MAX_VALUE;
    /** Run before every convolution. */
    public Runnable beforeConvolution = () -> { };
    /** Whether memory, once there is none, comes back when the device is told to trim. */
    boolean trimHelps = true;

    public WatchedDevice() {
        super(Devices.open("cpu", null, notice -> { }));
    }

    @Override
    public boolean prefersLargeBatches() {
        return prefersLargeBatches;
    }

    @Override
    public long reachableMemory() {
        return reachableMemory;
    }

    @Override
    public Tensor allocate(DataType type, int... shape) {
        if (allocationsLeft == 0) {
            throw new OutOfDeviceMemoryException("no memory left, says the test");
        }
        allocationsLeft = Math.max(-1, allocationsLeft - 1);
        if (mostRows > 0 && shape.length >= 3 && shape[0] > mostRows) {
            throw new OutOfDeviceMemoryException("no memory for " + shape[0] + " rows, says the test");
        }
        return seen(super.allocate(type, shape));
    }

    @Override
    public Tensor upload(DataType type, float[] values, int... shape) {
        return seen(super.upload(type, values, shape));
    }

    @Override
    public Tensor upload(int[] values) {
        return seen(super.upload(values));
    }

    @Override
    public void trim() {
        allocationsLeft = trimHelps ? -1 : allocationsLeft;
        super.trim();
    }

    @Override
    public Tensor keep(Tensor tensor) {
        kept.put(tensor, true);
        return super.keep(tensor);
    }

    @Override
    public void release(Tensor tensor) {
        kept.remove(tensor);
        super.release(tensor);
    }

    @Override
    protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
        if (operator.equals("conv2d")) {
            beforeConvolution.run();
        }
        calls.merge(operator + operands[0], 1, Integer::sum);
        T result = work.get();
        if (result instanceof Tensor tensor) {
            seen(tensor);
        }
        return result;
    }

    private Tensor seen(Tensor tensor) {
        addresses.add(tensor.address());
        return tensor;
    }

    /** Of tensors that no scope holds. */
    public long keptBytes() {
        return kept.keySet().stream().mapToLong(tensor -> tensor.elements() * tensor.type().bytes()).sum();
    }
}
