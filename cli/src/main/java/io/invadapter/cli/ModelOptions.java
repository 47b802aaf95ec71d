package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.LoraUse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** Which model and adapter to use, and the defaults that follow from the choice. */
final class ModelOptions {
    @Option(names = "--model", paramLabel = "PATH", description = "folder in the diffusers layout or single-file checkpoint, .safetensors "
            + "(default: the bundled cartoon model with its adapter)")
    private Path model;

    @Option(names = "--adapter", paramLabel = "FILE", description = "Inv-Adapter weights, .safetensors")
    private Path adapter;

    @Option(names = "--lora", paramLabel = "FILE[:SCALE]", description = "a LoRA to lay over the model, .safetensors or the folder that it was saved "
            + "into, and how much of it (default: 1), or for text encoder and UNet, FILE:0.5:1; may be given several times")
    private List<LoraUse> loras = List.of();

    @Option(names = "--embedding", paramLabel = "FILE", description = "textual inversion, .safetensors: its placeholder, or else its name, stands for it in texts; may be repeated")
    private List<Path> embeddings = List.of();

    @Option(names = "--embeddings-dir", paramLabel = "DIR", description = "a folder of such files")
    private Path embeddingsFolder;

    @Option(names = "--steps", paramLabel = "N", description = "1 to 1000 (default: 20 for the bundled model, 4 for latent consistency models, 50 for others that do not say)")
    private Integer steps;

    boolean bundled() {
        return model == null;
    }

    /** As far as the user says; the rest is the model's own. */
    GenerationRequest.Builder request() {
        GenerationRequest.Builder request = GenerationRequest.builder();
        return steps == null ? request : request.steps(steps);
    }

    int steps(Pipeline pipeline) {
        return steps != null ? steps : pipeline.defaultSteps();
    }

    /** For the picture's parameters. */
    String modelName() {
        return bundled() ? "avatar-sd" : model.toAbsolutePath().normalize().getFileName().toString();
    }

    /** @throws InvalidRequestException when a file is missing, before anything is loaded */
    void check(boolean withFace) {
        if (model != null) {
            Checks.exists(model);
        }
        if (adapter != null) {
            Checks.exists(adapter);
        }
        loras.forEach(lora -> Checks.exists(lora.file()));
        for (Path embedding : embeddings) {
            Checks.exists(embedding);
            if (Files.isDirectory(embedding)) {
                throw new InvalidRequestException("--embedding " + embedding + " is a folder; expected a file, or --embeddings-dir");
            }
        }
        if (embeddingsFolder != null && !Files.isDirectory(embeddingsFolder)) {
            throw new InvalidRequestException("--embeddings-dir " + embeddingsFolder + ": there is no such folder");
        }
        if (withFace && model != null && adapter == null) {
            throw new InvalidRequestException("--face with a --model of your own needs the --adapter that was made for this model");
        }
    }

    /** What is to be opened. */
    Pipeline.Builder pipeline() {
        Pipeline.Builder pipeline = Pipeline.builder().model(bundled() ? BundledModel.directory() : model)
                .adapter(adapter == null && bundled() ? BundledModel.adapter() : adapter);
        loras.forEach(pipeline::lora);
        embeddings.forEach(pipeline::embeddings);
        return embeddingsFolder == null ? pipeline : pipeline.embeddings(embeddingsFolder);
    }
}
