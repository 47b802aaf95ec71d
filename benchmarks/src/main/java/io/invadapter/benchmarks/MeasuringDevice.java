package io.invadapter.benchmarks;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * Stands in front of a device and adds up calls, time and operations of each operator. Operations are those of the matrix
 * products: linear layers, convolutions and attention. Padding counts as if it were multiplied, as is usual; norms,
 * activations and sums are left out. The time is that of the call, which tells nothing on a device that works behind it.
 */
final class MeasuringDevice implements InvocationHandler {
    private final Device target;
    private final Map<Device.Convolution, Integer> kernelSizes = new IdentityHashMap<>();
    private final Map<String, Total> totals = new TreeMap<>();

    /** What one kind of operator took since the last {@link #reset}. */
    static final class Total {
        int calls;
        double operations;
        double seconds;
    }

    MeasuringDevice(Device target) {
        this.target = target;
    }

    Device device() {
        return (Device) Proxy.newProxyInstance(Device.class.getClassLoader(), new Class<?>[] {Device.class}, this);
    }

    /** By the operator's name. */
    Map<String, Total> totals() {
        return totals;
    }

    double operations() {
        return totals.values().stream().mapToDouble(total -> total.operations).sum();
    }

    void reset() {
        totals.clear();
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        long start = System.nanoTime();
        Object result;
        try {
            result = method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        if (result instanceof Device.Convolution convolution) {
            int[] shape = ((HostTensor) arguments[0]).shape();
            kernelSizes.put(convolution, shape[2] * shape[3]);
        } else if (result instanceof Tensor y) {
            Total total = totals.computeIfAbsent(method.getName(), name -> new Total());
            total.calls++;
            total.seconds += (System.nanoTime() - start) / 1e9;
            total.operations += operations(y, arguments);
        }
        return result;
    }

    private double operations(Tensor y, Object[] arguments) {
        return switch (arguments.length < 2 ? null : arguments[1]) {
            case Device.Linear linear -> 2.0 * y.elements() * linear.inFeatures();
            case Device.GatedLinear gated -> 4.0 * y.elements() * gated.inFeatures();
            case Device.Convolution convolution -> 2.0 * y.elements() * convolution.inChannels() * kernelSizes.get(convolution);
            // Only attention takes six arguments, the keys second.
            case Tensor keys when arguments.length == 6 -> 4.0 * y.elements() * keys.size(1);
            case null, default -> 0;
        };
    }
}
