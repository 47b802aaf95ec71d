package io.invadapter.cli;

import io.invadapter.weights.ModelFiles;
import io.invadapter.weights.Safetensors;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** What is in a weight file or a model. */
@Command(name = "info", mixinStandardHelpOptions = true, description = "Lists what is in a weight file or a model folder.")
final class Info implements Callable<Integer> {
    @Parameters(paramLabel = "FILE|DIR", description = "safetensors file, its index, or a folder in the diffusers layout")
    private Path path;

    @Override
    public Integer call() {
        if (Files.isDirectory(path)) {
            try (ModelFiles model = ModelFiles.open(path)) {
                System.out.println(model.description());
                list("text encoder", model.textEncoder());
                list("unet", model.unet());
                list("vae", model.vae());
            }
        } else {
            try (WeightSource file = Safetensors.open(path)) {
                file.metadata().forEach((key, value) -> System.out.println(key + " = " + value));
                list(path.toString(), file);
            }
        }
        return 0;
    }

    private static void list(String title, WeightSource source) {
        long elements = 0;
        for (String name : new TreeSet<>(source.names())) {
            WeightTensor tensor = source.tensor(name);
            elements += tensor.elements();
            System.out.println("  " + name + "  " + tensor.dtype() + Arrays.toString(tensor.shape()));
        }
        System.out.println(title + ": " + source.names().size() + " tensors, " + elements + " values");
    }
}
