package io.invadapter.weights;

import io.invadapter.base.InvAdapterException;

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
}
