package io.invadapter.cli;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Pipeline;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Options of every command that runs a model. */
final class ModelOptions {
    @Option(names = "--model", paramLabel = "PATH", description = "folder in the diffusers layout or single-file checkpoint; without it the bundled cartoon model")
    Path model;

    @Option(names = "--adapter", paramLabel = "FILE", description = "Inv-Adapter weights (.safetensors)")
    Path adapter;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "auto", description = "auto, cpu, cuda or cuda:N (default: ${DEFAULT-VALUE})")
    String device;

    @Option(names = "--precision", paramLabel = "P", description = "fp32, bf16 or fp16; without it the device's own")
    Precision precision;

    @Option(names = {"-q", "--quiet"}, description = "no progress, no notices")
    boolean quiet;

    boolean bundled() {
        return model == null;
    }

    /** For the picture's parameters. */
    String modelName() {
        return bundled() ? "avatar-sd" : model.toAbsolutePath().normalize().getFileName().toString();
    }

    Pipeline open() {
        try {
            return Pipeline.builder()
                    .model(bundled() ? BundledModel.directory() : model)
                    .adapter(adapter == null && bundled() ? BundledModel.adapter() : adapter)
                    .device(device).precision(precision).notices(this::warn).open();
        } catch (OutOfMemoryError e) {
            throw new OutOfDeviceMemoryException("out of memory while loading the model: give Java more with -Xmx in JAVA_TOOL_OPTIONS");
        }
    }

    void warn(String notice) {
        if (!quiet) {
            System.err.println("invadapter: " + notice);
        }
    }
}
