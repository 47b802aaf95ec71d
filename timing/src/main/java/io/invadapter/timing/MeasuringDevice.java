package io.invadapter.timing;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Stands in front of a device and adds up calls, time, operations and bytes of each operator, by the device's own marks.
 * Operations are those of the matrix products: linear layers, convolutions and attention. Padding counts as if it were
 * multiplied, as is usual; norms, activations and sums are left out. Bytes are those of operands, weights and results, each
 * once. While it measures, nothing is recorded: every operator is called. What it is in another precision adds to the same sums.
 */
public final class MeasuringDevice extends ForwardingDevice {
    private final Tally tally;

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

    private record Timed(String name, Mark before, Mark after, double operations, double bytes) {
    }

    /** What the device has in common in all its precisions. */
    private static final class Tally {
        private final Map<Precision, MeasuringDevice> devices = new EnumMap<>(Precision.class);
        private final Map<String, Total> totals = new TreeMap<>();
        private final List<Timed> pending = new ArrayList<>();
        private boolean measuring = true;
        private int attendingRows;
    }

    /** Measures from the start. */
    public MeasuringDevice(Device target) {
        this(target, new Tally());
    }

    private MeasuringDevice(Device target, Tally tally) {
        super(target);
        this.tally = tally;
        tally.devices.put(target.precision(), this);
    }

    /** Begins or stops measuring; where it does not, calls go straight through. */
    public void measure(boolean on) {
        tally.measuring = on;
    }

    /** How many rows of the batches to come have an identity of a strength other than 0: only those are counted as work. */
    public void attendingRows(int rows) {
        tally.attendingRows = rows;
    }

    /** By the operator's name; waits for the device. */
    public Map<String, Total> totals() {
        for (Timed timed : tally.pending) {
            double seconds = timed.after.millisecondsSince(timed.before) / 1e3;
            tally.totals.merge(timed.name, new Total(1, seconds, timed.operations, timed.bytes),
                    (total, one) -> total.plus(one.seconds, one.operations, one.bytes));
            timed.before.close();
            timed.after.close();
        }
        tally.pending.clear();
        return tally.totals;
    }

    /** Operations of all operators since the last {@link #reset}. */
    public double operations() {
        return totals().values().stream().mapToDouble(Total::operations).sum();
    }

    /** Forgets what was added up. */
    public void reset() {
        totals();
        tally.totals.clear();
    }

    @Override
    public Device as(Precision precision) {
        MeasuringDevice known = tally.devices.get(precision);
        return known == null ? new MeasuringDevice(target().as(precision), tally) : known;
    }

    @Override
    public Recording record(Runnable work) {
        return tally.measuring ? unrecorded(work) : super.record(work);
    }

    @Override
    public void copy(Tensor source, Tensor to) {
        compute("copy", () -> {
            super.copy(source, to);
            return null;
        }, source, to);
    }

    @Override
    protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
        if (!tally.measuring) {
            return work.get();
        }
        Mark before = mark();
        T result = work.get();
        boolean several = sources(operands).size() > 1;
        tally.pending.add(new Timed(several ? operator + " over several sources" : operator, before, mark(),
                operations(result, operands), bytes(operands) + bytes(result)));
        return result;
    }

    private Recording unrecorded(Runnable work) {
        return new Recording() {
            @Override
            public void run() {
                try (Scope scope = scope()) {
                    work.run();
                }
            }

            @Override
            public void close() {
                // The device has everything back after each run.
            }
        };
    }

    /** Of attention; of other operators none. */
    private static List<Source> sources(Object[] operands) {
        return Stream.of(operands).filter(Source.class::isInstance).map(Source.class::cast).toList();
    }

    private double operations(Object result, Object[] operands) {
        Tensor y = switch (result) {
            case Tensor tensor -> tensor;
            // The only product that returns nothing is given its result.
            case null, default -> operands.length > 2 && operands[2] instanceof Tensor target ? target : null;
        };
        return switch (operands.length < 2 ? null : operands[1]) {
            case Linear linear -> 2.0 * y.elements() * linear.inFeatures();
            case GatedLinear gated -> 4.0 * y.elements() * gated.inFeatures();
            case TokenMixer mixer -> 2.0 * y.elements() * mixer.inTokens();
            case Convolution convolution -> 2.0 * y.elements() * kernelElements(convolution);
            case Source first -> sources(operands).stream().mapToDouble(source -> 4.0 * y.elements() * source.keys().size(1)
                    * (source.scales() == null ? 1 : (double) tally.attendingRows / y.batch())).sum();
            case null, default -> 0;
        };
    }

    private static double kernelElements(Convolution convolution) {
        return (double) convolution.inChannels() * convolution.kernelHeight() * convolution.kernelWidth();
    }

    private double bytes(Object... values) {
        double sum = 0;
        for (Object value : values) {
            sum += switch (value) {
                case Tensor tensor -> tensor.bytes();
                case Tensor[] tensors -> bytes((Object[]) tensors);
                case List<?> tensors -> bytes(tensors.toArray());
                case Joined joined -> joined.map().bytes() + joined.normed().bytes();
                case Source source -> source.keys().bytes() + source.values().bytes();
                case Linear linear -> weights((double) linear.inFeatures() * linear.outFeatures());
                case GatedLinear gated -> weights(2.0 * gated.inFeatures() * gated.outFeatures());
                case TokenMixer mixer -> weights((double) mixer.inTokens() * mixer.outTokens());
                case Convolution convolution -> weights(convolution.outChannels() * kernelElements(convolution));
                case null, default -> 0;
            };
        }
        return sum;
    }

    private double weights(double elements) {
        return elements * precision().type().bytes();
    }
}
