package io.invadapter.engine;

import java.util.concurrent.RejectedExecutionException;

/** A {@link PipelinePool} takes no request now: its queue is full, it is closed, or no device is left. The message says which. */
public final class PoolRejectedException extends RejectedExecutionException {
    private static final long serialVersionUID = 1L;

    public PoolRejectedException(String message) {
        super(message);
    }
}
