package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.timing.MeasuringDevice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;

/**
 * What a step of Stable Diffusion 1.5 at 512 x 512 would take at least: every operator at the floor of its operations, bytes or
 * exponentials, plus a gap for each launch. By count alone, on {@link EmulatedGpu#counting()}: the table of this module's README.
 *
 * <pre>{@code
 * java -cp ... io.invadapter.kernels.cuda.StepRoofline          # a line for each operator, without and with a new face
 * java -cp ... io.invadapter.kernels.cuda.StepRoofline all      # a line for each call
 * }</pre>
 */
public final class StepRoofline {
    /** From the end of a kernel in a graph to the start of the next: assumed, not measured. */
    private static final double GAP_MICROSECONDS = 1.5;
    private static final int STEPS = 50;

    /** Dense float16 products, memory, and exponentials: 16 per clock and multiprocessor. */
    private record Chip(double flops, double bytesPerSecond, double exponentials) {
        double floorMicroseconds(Call call) {
            double others = Math.max(call.bytes / bytesPerSecond, call.exponentials / exponentials);
            return 1e6 * Math.max(call.operations / flops, others);
        }
    }

    private static final Chip H100 = new Chip(989e12, 3350e9, 16 * 132 * 1.755e9);
    private static final Chip A100 = new Chip(312e12, 1555e9, 16 * 108 * 1.41e9);

    /**
     * A call of an operator.
     *
     * @param launches the kernels, products, convolutions and copies it started
     */
    record Call(String operator, List<String> launches, double operations, double bytes, double exponentials) {
    }

    private StepRoofline() {
    }

    /** Notes every operator's call. */
    private static final class Noting extends ForwardingDevice {
        private final EmulatedGpu gpu;
        private final MeasuringDevice measuring;
        private final List<Call> calls;

        Noting(EmulatedGpu gpu, MeasuringDevice measuring, List<Call> calls) {
            super(measuring);
            this.gpu = gpu;
            this.measuring = measuring;
            this.calls = calls;
        }

        @Override
        public Tensor attention(Tensor query, List<Source> sources, int heads, boolean causal) {
            return noted(() -> measuring.attention(query, sources, heads, causal),
                    operations -> exponentials(operations, query, heads));
        }

        @Override
        public void copy(Tensor source, Tensor to) {
            noted(() -> {
                measuring.copy(source, to);
                return null;
            }, operations -> 0);
        }

        @Override
        protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
            return noted(work, operations -> 0);
        }

        private <T> T noted(Supplier<T> work, DoubleUnaryOperator exponentials) {
            int before = gpu.started().size();
            T result = work.get();
            List<String> launches = gpu.started().subList(before, gpu.started().size()).stream()
                    .filter(name -> !name.equals("copy in")).toList();
            measuring.totals().forEach((operator, total) -> calls.add(new Call(operator, launches, total.operations(),
                    total.bytes(), exponentials.applyAsDouble(total.operations()))));
            measuring.reset();
            return result;
        }
    }

    /** One for each score, whose product with query and value is 4 operations for each of a head's channels. */
    private static double exponentials(double operations, Tensor query, int heads) {
        return operations / 4 / (query.channels() / heads);
    }

    /** The calls of one step with guidance, in order. */
    static List<Call> step(boolean face) {
        List<Call> calls = new ArrayList<>();
        EmulatedGpu gpu = EmulatedGpu.counting();
        try (Device device = CudaDeviceTest.open(gpu, Precision.FP16)) {
            MeasuringDevice measuring = new MeasuringDevice(device);
            // The rows with and without the prompt; the face's own attend to nobody.
            measuring.attendingRows(2);
            List<Integer> ends = new ArrayList<>();
            try (StableDiffusion15 model = new StableDiffusion15(new Noting(gpu, measuring, calls))) {
                model.generate(face, () -> ends.add(calls.size()));
            }
            return List.copyOf(calls.subList(ends.get(ends.size() - 2), ends.getLast()));
        }
    }

    /** Prints the tables. */
    public static void main(String[] arguments) {
        for (boolean face : new boolean[] {false, true}) {
            List<Call> calls = step(face);
            System.out.println((face ? "With a new face" : "Plain") + ", batch " + (face ? 3 : 2) + ":\n");
            if (Arrays.asList(arguments).contains("all")) {
                calls.forEach(call -> System.out.printf("%-28s %8.2f GFLOP %8.2f MB  %s%n", call.operator, call.operations / 1e9,
                        call.bytes / 1e6, call.launches));
                System.out.println();
            }
            print(calls);
        }
    }

    private static void print(List<Call> calls) {
        Map<String, List<Call>> operators = new LinkedHashMap<>();
        calls.forEach(call -> operators.computeIfAbsent(call.operator, o -> new ArrayList<>()).add(call));
        System.out.println("| operator | launches | GFLOP | MB | H100 us | A100 us |");
        System.out.println("| --- | --- | --- | --- | --- | --- |");
        operators.values().stream().sorted((a, b) -> Double.compare(floor(b, H100), floor(a, H100)))
                .forEach(all -> System.out.printf("| `%s` | %d | %.1f | %.1f | %.1f | %.1f |%n", all.getFirst().operator,
                        launches(all), sum(all, Call::operations) / 1e9, sum(all, Call::bytes) / 1e6, floor(all, H100),
                        floor(all, A100)));
        System.out.printf("| %.1f us after each launch | | | | %.1f | %2$.1f |%n", GAP_MICROSECONDS,
                GAP_MICROSECONDS * launches(calls));
        System.out.printf("| **one step** | **%d** | %.1f | %.1f | **%.0f** | **%.0f** |%n", launches(calls),
                sum(calls, Call::operations) / 1e9, sum(calls, Call::bytes) / 1e6, step(calls, H100, 1), step(calls, A100, 1));
        for (double reached : new double[] {1, 0.6}) {
            System.out.printf("| %d steps, ms%s | | | | %.0f | %.0f |%n", STEPS,
                    reached == 1 ? "" : ", if kernels reach %.0f %% of their floors".formatted(100 * reached),
                    STEPS * step(calls, H100, reached) / 1e3, STEPS * step(calls, A100, reached) / 1e3);
        }
        System.out.println();
    }

    private static double sum(List<Call> calls, ToDoubleFunction<Call> what) {
        return calls.stream().mapToDouble(what).sum();
    }

    static int launches(List<Call> calls) {
        return calls.stream().mapToInt(call -> call.launches.size()).sum();
    }

    private static double floor(List<Call> calls, Chip chip) {
        return sum(calls, chip::floorMicroseconds);
    }

    /** Microseconds of a step whose kernels reach that part of the floor's speed. */
    private static double step(List<Call> calls, Chip chip, double reached) {
        return floor(calls, chip) / reached + GAP_MICROSECONDS * launches(calls);
    }
}
