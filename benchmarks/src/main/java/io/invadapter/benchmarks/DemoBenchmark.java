package io.invadapter.benchmarks;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.kernels.Precision;
import java.awt.image.BufferedImage;
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

/** Whole requests to the bundled model, from the face's picture to the new one. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 1)
@Measurement(iterations = 3)
public class DemoBenchmark {
    private static final String CAPTION = "a portrait of a person";

    @Param({"fp32", "bf16"})
    public String precision;
    @Param("20")
    public int steps;

    private BufferedImage face;
    private Pipeline remembering;
    private Pipeline forgetting;

    @Setup
    public void open() {
        face = BundledModel.faces().getFirst();
        remembering = builder().open();
        forgetting = builder().identityBudget(IdentityBudget.NONE).open();
    }

    private Pipeline.Builder builder() {
        return Pipeline.builder().model(BundledModel.directory()).adapter(BundledModel.adapter())
                .precision(Precision.valueOf(precision.toUpperCase()));
    }

    private GenerationResult generate(Pipeline pipeline, BufferedImage person) {
        return pipeline.generate(GenerationRequest.builder().face(person).caption(CAPTION)
                .prompt("a portrait of a happy person wearing a hoodie in red, blue background").steps(steps).seed(7).build());
    }

    /** No face: plain Stable Diffusion. */
    @Benchmark
    public GenerationResult plain() {
        return generate(remembering, null);
    }

    /** The first picture of a face: its inversion, then its rows beside the picture's. */
    @Benchmark
    public GenerationResult newFace() {
        return generate(forgetting, face);
    }

    /** The next picture of the same face. */
    @Benchmark
    public GenerationResult knownFace() {
        return generate(remembering, face);
    }

    /** A face to noise and back. */
    @Benchmark
    public InversionResult inversion() {
        return forgetting.invert(face, CAPTION, steps, ProgressListener.NONE);
    }

    @TearDown
    public void close() {
        remembering.close();
        forgetting.close();
    }
}
