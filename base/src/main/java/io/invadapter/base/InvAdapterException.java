package io.invadapter.base;

/**
 * What this library throws for its user: a file, a device, a request or a queue is not what it must be. The message is one
 * sentence for a person; the subclasses say what it is about. Mistakes in the calling code, such as a {@code null} or a call
 * on something closed, are Java's own exceptions.
 */
public class InvAdapterException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public InvAdapterException(String message) {
        super(message);
    }

    public InvAdapterException(String message, Throwable cause) {
        super(message, cause);
    }
}
