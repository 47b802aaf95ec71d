package io.invadapter.engine.making;

import io.invadapter.weights.WeightException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Weights on the disk as they were when they were opened: parts of a model that are read again must go with those that were not. */
public final class OpenedFiles {
    private static final String WEIGHTS = ".safetensors";
    /** Where they are in a folder. */
    private static final List<String> FOLDERS = List.of("", "unet", "vae", "text_encoder");

    /** Of each file, its size and when it was written. */
    private final Map<Path, String> states = new LinkedHashMap<>();

    /** @param path a file of weights, or a folder with some */
    public void add(Path path) {
        try {
            if (!Files.isDirectory(path)) {
                states.put(path, state(path));
                return;
            }
            for (Path folder : FOLDERS.stream().map(path::resolve).filter(Files::isDirectory).toList()) {
                try (Stream<Path> files = Files.list(folder)) {
                    for (Path file : files.filter(file -> file.toString().endsWith(WEIGHTS) && Files.isRegularFile(file)).toList()) {
                        states.put(file, state(file));
                    }
                }
            }
        } catch (IOException e) {
            throw new WeightException(path + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static String state(Path file) throws IOException {
        return Files.size(file) + " " + Files.getLastModifiedTime(file);
    }

    /** @throws WeightException when one is gone, or is another */
    public void requireUnchanged() {
        states.forEach((file, opened) -> {
            String problem;
            try {
                problem = state(file).equals(opened) ? null : "has changed";
            } catch (IOException e) {
                problem = "is gone";
            }
            if (problem != null) {
                throw new WeightException(file + " " + problem + " since it was opened, and is read again to change LoRAs or because memory "
                        + "is short: open the model anew");
            }
        });
    }
}
