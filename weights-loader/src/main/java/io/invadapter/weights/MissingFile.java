package io.invadapter.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What is said of a file that is expected and not there. */
final class MissingFile {

    private MissingFile() {
    }

    /** Whether a name is there without a file behind it, as in a Hugging Face cache whose download was cut short. */
    static boolean isDanglingLink(Path file) {
        return Files.isSymbolicLink(file) && !Files.exists(file);
    }

    static WeightException at(Path file) {
        if (!isDanglingLink(file)) {
            return new WeightException(file + " does not exist");
        }
        try {
            return new WeightException(file + " is a link to " + Files.readSymbolicLink(file)
                    + ", which does not exist: the download was not finished or has been deleted; fetch the model again");
        } catch (IOException e) {
            return new WeightException(file + " is a link that leads nowhere", e);
        }
    }
}
