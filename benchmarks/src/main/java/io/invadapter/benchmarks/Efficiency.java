package io.invadapter.benchmarks;

import com.sun.management.OperatingSystemMXBean;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.MeasuringDevice;
import io.invadapter.timing.Structure;
import java.lang.management.ManagementFactory;
import java.util.Comparator;
import java.util.Map;
import java.util.function.DoubleSupplier;

/**
 * Sets a pass of the UNet beside the device's best products, measured in turn in one process, and shows where the time of
 * the pass goes. The minimum of the rounds counts: what else runs on a machine only ever adds. Beside the time stands the
 * process's own processor time, which other processes disturb least.
 *
 * <p>{@code benchmarks/run Efficiency [precision [batch [rounds]]]}
 */
public final class Efficiency {
    private static final int PRODUCTS_PER_ROUND = 3;

    private Efficiency() {
    }

    /** @param arguments precision (fp32), batch (1), rounds (5) */
    public static void main(String[] arguments) {
        Precision precision = arguments.length > 0 ? Precision.valueOf(arguments[0].toUpperCase()) : Precision.FP32;
        int batch = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 1;
        int rounds = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 5;
        try (Device device = Devices.open("auto", precision, System.err::println)) {
            System.out.println(device.description());
            MeasuringDevice measuring = new MeasuringDevice(device);
            UNetPass pass = new UNetPass(Structure.STABLE_DIFFUSION_15.unet(), measuring, batch, Structure.STABLE_DIFFUSION_15.unet().sampleSize());
            System.out.print(compare(measuring, pass, new Peak(device), rounds));
        }
    }

    /** The fastest run of one piece of work. */
    private static final class Best {
        private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

        private final String name;
        private final DoubleSupplier work;
        private double operations;
        private double seconds = Double.MAX_VALUE;
        private double processorSeconds = Double.MAX_VALUE;

        /** @param work returns the operations done */
        Best(String name, DoubleSupplier work) {
            this.name = name;
            this.work = work;
        }

        /** Returns whether this was the fastest so far. */
        boolean run() {
            long processor = SYSTEM.getProcessCpuTime();
            long start = System.nanoTime();
            operations = work.getAsDouble();
            double took = (System.nanoTime() - start) / 1e9;
            processorSeconds = Math.min(processorSeconds, (SYSTEM.getProcessCpuTime() - processor) / 1e9);
            boolean fastest = took < seconds;
            seconds = Math.min(seconds, took);
            return fastest;
        }

        double rate() {
            return operations / seconds / 1e9;
        }

        double processorRate() {
            return operations / processorSeconds / 1e9;
        }

        @Override
        public String toString() {
            return "%-14s %8.1f GFLOP in %7.3f s, processor time %7.3f s: %.0f GFLOP/s, %.0f a processor second%n".formatted(name,
                    operations / 1e9, seconds, processorSeconds, rate(), processorRate());
        }
    }

    /** The tables, as text. */
    static String compare(MeasuringDevice measuring, UNetPass pass, Peak peak, int rounds) {
        Best product = new Best("matrix product", peak::product);
        Best convolution = new Best("convolution", peak::convolution);
        Best whole = new Best("pass", () -> {
            measuring.reset();
            pass.run();
            return measuring.operations();
        });
        pass.run();
        Map<String, MeasuringDevice.Total> operators = Map.of();
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < PRODUCTS_PER_ROUND; i++) {
                product.run();
                convolution.run();
            }
            if (whole.run()) {
                operators = Map.copyOf(measuring.totals());
            }
        }
        StringBuilder text = new StringBuilder();
        text.append("%-20s %6s %9s %7s %9s%n".formatted("operator", "calls", "ms", "share", "GFLOP/s"));
        operators.entrySet().stream().sorted(Comparator.comparingDouble(e -> -e.getValue().seconds())).forEach(e -> {
            MeasuringDevice.Total t = e.getValue();
            text.append("%-20s %6d %9.1f %6.1f%% %9.0f%n".formatted(e.getKey(), t.calls(), t.seconds() * 1e3,
                    100 * t.seconds() / whole.seconds, t.operations() / t.seconds() / 1e9));
        });
        text.append(product).append(convolution).append(whole);
        for (Best best : new Best[] {product, convolution}) {
            text.append("pass/%s: %.2f, by processor time %.2f%n".formatted(best.name, whole.rate() / best.rate(),
                    whole.processorRate() / best.processorRate()));
        }
        return text.toString();
    }
}
