package io.invadapter.engine.making;

import io.invadapter.weights.WeightException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** Weights on the disk as they were when they were opened: parts of a model that are read again must go with those that were not. */
public final class OpenedFiles {
    /** Of each file, its size and when it was written. */
    private final Map<Path, String> states = new LinkedHashMap<>();

    /** @param files that were just opened */
    public OpenedFiles(Set<Path> files) {
        for (Path file : files) {
            try {
                states.put(file, state(file));
            } catch (IOException e) {
                throw new WeightException(file + " cannot be read: " + e.getMessage(), e);
            }
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
