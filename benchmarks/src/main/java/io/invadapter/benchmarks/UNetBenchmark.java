package io.invadapter.benchmarks;

import io.invadapter.engine.Latents;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.MeasuringDevice;
import io.invadapter.timing.Structure;
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

/** One pass of the UNet of Stable Diffusion 1.5 for pictures of 512 x 512, with synthetic weights. */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 1)
@Measurement(iterations = 3)
public class UNetBenchmark {
    @Param({"fp32", "bf16"})
    public String precision;
    @Param({"1", "2"})
    public int batch;

    /** A smaller one for the test. */
    UNetConfig config = Structure.STABLE_DIFFUSION_15.unet();

    private Device device;
    private UNetPass pass;
    private double operations;

    @Setup
    public void open() {
        device = Devices.open("auto", Precision.valueOf(precision.toUpperCase()), System.err::println);
        MeasuringDevice measuring = new MeasuringDevice(device);
        pass = new UNetPass(config, measuring, batch, config.sampleSize());
        pass.run();
        operations = measuring.operations();
        measuring.measure(false);
    }

    @Benchmark
    public Latents pass(GigaFlops rate) {
        Latents noise = pass.run();
        rate.add(operations);
        return noise;
    }

    @TearDown
    public void close() {
        device.close();
    }
}
