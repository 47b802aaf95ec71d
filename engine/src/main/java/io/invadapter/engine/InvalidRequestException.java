package io.invadapter.engine;

/** A request that cannot be carried out as it was asked. The message is one sentence for the user. */
public final class InvalidRequestException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    public InvalidRequestException(String message) {
        super(message);
    }
}
