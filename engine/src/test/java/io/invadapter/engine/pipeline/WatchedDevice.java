package io.invadapter.engine.pipeline;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Tensor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;

/** The CPU in float32, watched: what memory it hands out, and what it would do were it another device. */
public final class WatchedDevice {
    private final Device cpu = Devices.open("cpu", null, notice -> { });
    private final Map<Tensor, Boolean> kept = new IdentityHashMap<>();

    /** Of every tensor that was ever handed out. */
    final Set<Long> addresses = new HashSet<>();
    /** How often each method was called that takes a tensor first: by its name and that tensor. */
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

    public Device device() {
        return (Device) Proxy.newProxyInstance(Device.class.getClassLoader(), new Class<?>[] {Device.class}, (proxy, method, arguments) -> {
            switch (method.getName()) {
                case "prefersLargeBatches" -> {
                    return prefersLargeBatches;
                }
                case "reachableMemory" -> {
                    return reachableMemory;
                }
                case "allocate" -> {
                    if (allocationsLeft == 0) {
                        throw new OutOfDeviceMemoryException("no memory left, says the test");
                    }
                    allocationsLeft = Math.max(-1, allocationsLeft - 1);
                    int[] shape = (int[]) arguments[1];
                    if (mostRows > 0 && shape.length >= 3 && shape[0] > mostRows) {
                        throw new OutOfDeviceMemoryException("no memory for " + shape[0] + " rows, says the test");
                    }
                }
                case "conv2d" -> beforeConvolution.run();
                case "trim" -> allocationsLeft = trimHelps ? -1 : allocationsLeft;
                case "keep" -> kept.put((Tensor) arguments[0], true);
                case "release" -> kept.remove((Tensor) arguments[0]);
                default -> {
                    // Nothing to watch.
                }
            }
            if (arguments != null && arguments[0] instanceof Tensor first) {
                calls.merge(method.getName() + first, 1, Integer::sum);
            } else if (arguments != null && arguments[0] instanceof Tensor[] parts) {
                calls.merge(method.getName() + parts[0], 1, Integer::sum);
            }
            try {
                Object result = method.invoke(cpu, arguments);
                if (result instanceof Tensor tensor) {
                    addresses.add(tensor.address());
                }
                return result;
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    /** Of tensors that no scope holds. */
    public long keptBytes() {
        return kept.keySet().stream().mapToLong(tensor -> tensor.elements() * tensor.type().bytes()).sum();
    }
}
