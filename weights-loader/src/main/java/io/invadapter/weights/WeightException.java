package io.invadapter.weights;

import io.invadapter.base.InvAdapterException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A weight file, a model folder or a JSON file is not what it must be. The message is one sentence for the person who
 * chose the file: it names the file, the tensor or key, what was found and what was expected.
 */
public final class WeightException extends InvAdapterException {

    public WeightException(String message) {
        super(message);
    }

    public WeightException(String message, Throwable cause) {
        super(message, cause);
    }

    /** For a tensor that is not {@link WeightTensor#isFinite}. @param source what messages call its file */
    public static WeightException notFinite(String source, WeightTensor tensor) {
        return new WeightException(source + ": tensor '" + tensor.name() + "' holds values that are not finite (NaN or infinite)");
    }

    /** For a file that is expected and not there; a link without a file, as a Hugging Face cache may hold, is called what it is. */
    public static WeightException missing(Path file) {
        if (!Files.isSymbolicLink(file)) {
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
