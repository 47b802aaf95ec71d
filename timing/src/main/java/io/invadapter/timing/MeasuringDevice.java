package io.invadapter.timing;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Stands in front of a device and adds up calls, time, operations and bytes of each operator, by the device's own marks.
 * Operations are those of the matrix products: linear layers, convolutions and attention. Padding counts as if it were
 * multiplied, as is usual; norms, activations and sums are left out. Bytes are those of operands, weights and results, each
 * once. While it measures, nothing is recorded: every operator is called.
 */
public final class MeasuringDevice implements InvocationHandler {
    /** These only make room or hand on. */
    private static final Set<String> NO_WORK = Set.of("allocate", "keep", "upload");
    /** These work on what they are given. */
    private static final Set<String> IN_PLACE = Set.of("combine", "matchDeviation", "ddimStep", "copy", "linearInto");
    private static final Set<Class<?>> RESULTS = Set.of(Tensor.class, Device.Joined.class);

    private final Device target;
    private final Map<Device.Convolution, Integer> kernelSizes = new IdentityHashMap<>();
    private final Map<String, Total> totals = new TreeMap<>();
    private final List<Timed> pending = new ArrayList<>();
    private boolean measuring = true;
    private int attendingRows;

    /**
     * What one kind of operator took since the last {@link #reset}.
     *
     * @param operations floating-point operations, a multiplication and an addition being two
     */
    public record Total(int calls, double seconds, double operations, double bytes) {
        private Total plus(double moreSeconds, double moreOperations, double moreBytes) {
            return new Total(calls + 1, seconds + moreSeconds, operations + moreOperations, bytes + moreBytes);
        }
    }

    private record Timed(String name, Device.Mark before, Device.Mark after, double operations, double bytes) {
    }

    /** Measures from the start. */
    public MeasuringDevice(Device target) {
        this.target = target;
    }

    /** What to give the work to. */
    public Device device() {
        return (Device) Proxy.newProxyInstance(Device.class.getClassLoader(), new Class<?>[] {Device.class}, this);
    }

    /** Begins or stops measuring; where it does not, calls go straight through. */
    public void measure(boolean on) {
        measuring = on;
    }

    /** How many rows of the batches to come have an identity of a strength other than 0: only those are counted as work. */
    public void attendingRows(int rows) {
        attendingRows = rows;
    }

    /** By the operator's name; waits for the device. */
    public Map<String, Total> totals() {
        for (Timed timed : pending) {
            double seconds = timed.after.millisecondsSince(timed.before) / 1e3;
            totals.merge(timed.name, new Total(1, seconds, timed.operations, timed.bytes),
                    (total, one) -> total.plus(one.seconds, one.operations, one.bytes));
            timed.before.close();
            timed.after.close();
        }
        pending.clear();
        return totals;
    }

    /** Operations of all operators since the last {@link #reset}. */
    public double operations() {
        return totals().values().stream().mapToDouble(Total::operations).sum();
    }

    /** Forgets what was added up. */
    public void reset() {
        totals();
        totals.clear();
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        String name = method.getName();
        if (measuring && name.equals("record")) {
            return unrecorded((Runnable) arguments[0]);
        }
        boolean operator = measuring && !NO_WORK.contains(name)
                && (RESULTS.contains(method.getReturnType()) || IN_PLACE.contains(name));
        Device.Mark before = operator ? target.mark() : null;
        Object result;
        try {
            result = method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        if (operator) {
            Tensor y = switch (result) {
                case Tensor tensor -> tensor;
                case Device.Joined joined -> joined.map();
                case null, default -> arguments[1] instanceof Device.Linear ? (Tensor) arguments[2] : null;
            };
            boolean identity = arguments.length == 6 && arguments[5] instanceof Device.Identity;
            pending.add(new Timed(identity ? name + " with identity" : name, before, target.mark(), operations(y, arguments),
                    bytes(arguments) + bytes(result)));
        } else if (result instanceof Device.Convolution convolution) {
            int[] shape = ((HostTensor) arguments[0]).shape();
            kernelSizes.put(convolution, shape[2] * shape[3]);
        }
        return result;
    }

    private Device.Recording unrecorded(Runnable work) {
        return new Device.Recording() {
            @Override
            public void run() {
                try (Scope scope = target.scope()) {
                    work.run();
                }
            }

            @Override
            public void close() {
                // The device has everything back after each run.
            }
        };
    }

    private double operations(Tensor y, Object[] arguments) {
        return switch (arguments.length < 2 ? null : arguments[1]) {
            case Device.Linear linear -> 2.0 * y.elements() * linear.inFeatures();
            case Device.GatedLinear gated -> 4.0 * y.elements() * gated.inFeatures();
            case Device.TokenMixer mixer -> 2.0 * y.elements() * mixer.inTokens();
            case Device.Convolution convolution -> 2.0 * y.elements() * convolution.inChannels() * kernelSizes.get(convolution);
            // Only attention is given keys and values.
            case Tensor keys when arguments.length == 6 && arguments[2] instanceof Tensor -> 4.0 * y.elements() * keys.size(1)
                    + (arguments[5] instanceof Device.Identity identity
                            ? 4.0 * y.elements() / y.batch() * attendingRows * identity.keys().size(1) : 0);
            case null, default -> 0;
        };
    }

    private double bytes(Object... values) {
        double sum = 0;
        for (Object value : values) {
            sum += switch (value) {
                case Tensor tensor -> tensor.bytes();
                case Tensor[] tensors -> bytes((Object[]) tensors);
                case List<?> list -> bytes(list.toArray());
                case Device.Joined joined -> joined.map().bytes() + joined.normed().bytes();
                case Device.Identity identity -> identity.keys().bytes() + identity.values().bytes();
                case Device.Linear linear -> weights((double) linear.inFeatures() * linear.outFeatures());
                case Device.GatedLinear gated -> weights(2.0 * gated.inFeatures() * gated.outFeatures());
                case Device.TokenMixer mixer -> weights((double) mixer.inTokens() * mixer.outTokens());
                case Device.Convolution convolution -> weights((double) convolution.inChannels() * convolution.outChannels()
                        * kernelSizes.get(convolution));
                case null, default -> 0;
            };
        }
        return sum;
    }

    private double weights(double elements) {
        return elements * target.precision().type().bytes();
    }
}
