package io.invadapter.benchmarks;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** The device's best: a large matrix product and a large convolution. */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public class PeakBenchmark {
    @Param({"fp32", "bf16"})
    public String precision;

    private Device device;
    private Peak peak;

    @Setup
    public void open() {
        device = Devices.open("auto", Precision.valueOf(precision.toUpperCase()), System.err::println);
        peak = new Peak(device);
    }

    @Benchmark
    public void product(GigaFlops rate) {
        rate.add(peak.product());
    }

    @Benchmark
    public void convolution(GigaFlops rate) {
        rate.add(peak.convolution());
    }

    @TearDown
    public void close() {
        device.close();
    }
}
