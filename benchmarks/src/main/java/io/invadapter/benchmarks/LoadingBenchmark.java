package io.invadapter.benchmarks;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.Structure;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.SyntheticWeights;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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

/** From a file to a network that is ready to run, its weights packed for the device; the file is in the system's cache. */
@State(Scope.Thread)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 1)
@Measurement(iterations = 3)
public class LoadingBenchmark {
    @Param({"fp32", "bf16"})
    public String precision;

    /** A smaller one for the test. */
    UNetConfig config = Structure.STABLE_DIFFUSION_15.unet();

    private Path file;

    /** Writes the UNet of Stable Diffusion 1.5 in float16: 1.7 GB. */
    @Setup
    public void write() throws IOException {
        file = Files.createTempFile("unet", ".safetensors");
        SyntheticWeights weights = SyntheticWeights.onDemand();
        try (Device device = device()) {
            // Asking for every tensor makes it known.
            UNet.load(config, weights, device);
        }
        SafetensorsWriter writer = new SafetensorsWriter();
        weights.names().forEach(name -> writer.add(weights.tensor(name)));
        writer.write(file);
    }

    private Device device() {
        return Devices.open("auto", Precision.valueOf(precision.toUpperCase()), System.err::println);
    }

    @Benchmark
    public UNet unet() {
        try (Device device = device(); WeightSource source = Safetensors.open(file)) {
            return UNet.load(config, source, device);
        }
    }

    @Benchmark
    public int bundledModel() {
        try (Pipeline pipeline = Pipeline.builder().model(BundledModel.directory()).adapter(BundledModel.adapter())
                .precision(Precision.valueOf(precision.toUpperCase())).open()) {
            return pipeline.defaultWidth();
        }
    }

    @TearDown
    public void delete() throws IOException {
        Files.delete(file);
    }
}
