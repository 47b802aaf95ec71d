package io.invadapter.benchmarks;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import java.util.Comparator;
import java.util.Map;

/**
 * Sets a pass of the UNet beside the device's best products, measured in turn in one process, and shows where the time of
 * the pass goes. The minimum of the rounds counts: what else runs on a machine only ever adds.
 *
 * <p>{@code benchmarks/run Efficiency [precision [batch [rounds]]]}
 */
public final class Efficiency {

    private Efficiency() {
    }

    public static void main(String[] arguments) {
        Precision precision = arguments.length > 0 ? Precision.valueOf(arguments[0].toUpperCase()) : Precision.FP32;
        int batch = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 1;
        int rounds = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 5;
        try (Device device = Devices.open("auto", precision, System.err::println)) {
            System.out.println(device.description());
            MeasuringDevice measuring = new MeasuringDevice(device);
            UNetPass pass = new UNetPass(StableDiffusion15.UNET, measuring.device(), batch, StableDiffusion15.UNET.sampleSize());
            System.out.print(compare(measuring, pass, new Peak(device), rounds));
        }
    }

    /** The table, as text. */
    static String compare(MeasuringDevice measuring, UNetPass pass, Peak peak, int rounds) {
        pass.run();
        peak.product();
        peak.convolution();
        double bestProduct = 0;
        double bestConvolution = 0;
        double bestPass = Double.MAX_VALUE;
        Map<String, MeasuringDevice.Total> operators = Map.of();
        double operations = 0;
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < 3; i++) {
                long start = System.nanoTime();
                double done = peak.product();
                bestProduct = Math.max(bestProduct, done / (System.nanoTime() - start));
                start = System.nanoTime();
                done = peak.convolution();
                bestConvolution = Math.max(bestConvolution, done / (System.nanoTime() - start));
            }
            measuring.reset();
            long start = System.nanoTime();
            pass.run();
            double seconds = (System.nanoTime() - start) / 1e9;
            operations = measuring.operations();
            if (seconds < bestPass) {
                bestPass = seconds;
                operators = Map.copyOf(measuring.totals());
            }
        }
        double speed = operations / bestPass / 1e9;
        StringBuilder text = new StringBuilder();
        text.append("%-20s %6s %9s %7s %9s%n".formatted("operator", "calls", "ms", "share", "GFLOP/s"));
        double sum = bestPass;
        operators.entrySet().stream().sorted(Comparator.comparingDouble(e -> -e.getValue().seconds)).forEach(e -> {
            MeasuringDevice.Total t = e.getValue();
            text.append("%-20s %6d %9.1f %6.1f%% %9.0f%n".formatted(e.getKey(), t.calls, t.seconds * 1e3, 100 * t.seconds / sum,
                    t.operations / t.seconds / 1e9));
        });
        text.append("pass: %.3f s, %.0f GFLOP, %.0f GFLOP/s%n".formatted(bestPass, operations / 1e9, speed));
        text.append("matrix product: %.0f GFLOP/s; pass/product %.2f%n".formatted(bestProduct, speed / bestProduct));
        text.append("convolution: %.0f GFLOP/s; pass/convolution %.2f%n".formatted(bestConvolution, speed / bestConvolution));
        return text.toString();
    }
}
