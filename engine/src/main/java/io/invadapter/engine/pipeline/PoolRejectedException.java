package io.invadapter.engine.pipeline;

import io.invadapter.base.InvAdapterException;

/** A {@link PipelinePool} takes no request now: its queue is full, it is closed, or no device is left. The message says which. */
public final class PoolRejectedException extends InvAdapterException {
    private static final long serialVersionUID = 1L;

    public PoolRejectedException(String message) {
        super(message);
    }
}
