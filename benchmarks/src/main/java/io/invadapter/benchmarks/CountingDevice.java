package io.invadapter.benchmarks;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;

/**
 * Stands in front of a device and adds up the operations of its matrix products: linear layers, convolutions and attention.
 * Padding counts as if it were multiplied, as is usual. Norms, activations and sums are left out.
 */
final class CountingDevice implements InvocationHandler {
    private final Device target;
    private final java.util.Map<Object, Integer> kernelSizes = new java.util.IdentityHashMap<>();
    private double operations;

    CountingDevice(Device target) {
        this.target = target;
    }

    Device device() {
        return (Device) Proxy.newProxyInstance(Device.class.getClassLoader(), new Class<?>[] {Device.class}, this);
    }

    double operations() {
        return operations;
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        Object result;
        try {
            result = method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        if (result instanceof Device.Convolution) {
            int[] shape = ((io.invadapter.kernels.HostTensor) arguments[0]).shape();
            kernelSizes.put(result, shape[2] * shape[3]);
        } else if (result instanceof Tensor y) {
            operations += operations(y, arguments);
        }
        return result;
    }

    private double operations(Tensor y, Object[] arguments) {
        if (arguments.length < 2) {
            return 0;
        }
        return switch (arguments[1]) {
            case Device.Linear linear -> 2.0 * y.elements() * linear.inFeatures();
            case Device.GatedLinear gated -> 4.0 * y.elements() * gated.inFeatures();
            case Device.Convolution convolution -> 2.0 * y.elements() * convolution.inChannels() * kernelSizes.get(convolution);
            // Only attention takes a second tensor and a number of heads after the third.
            case Tensor keys when arguments.length == 6 -> 4.0 * y.elements() * keys.size(1);
            case null, default -> 0;
        };
    }
}
