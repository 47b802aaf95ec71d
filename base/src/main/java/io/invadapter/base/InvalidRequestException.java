package io.invadapter.base;

/** A request that cannot be carried out as it was asked. The message is one sentence for the user. */
public final class InvalidRequestException extends InvAdapterException {
    private static final long serialVersionUID = 1L;

    public InvalidRequestException(String message) {
        super(message);
    }
}
