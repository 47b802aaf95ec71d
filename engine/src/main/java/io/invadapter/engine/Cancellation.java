package io.invadapter.engine;

import java.util.concurrent.CancellationException;

/** Stops a request between two steps, from any thread. */
public final class Cancellation {
    private volatile boolean cancelled;

    /** The request ends with a {@link CancellationException} before its next step. */
    public void cancel() {
        cancelled = true;
    }

    public boolean isCancelled() {
        return cancelled;
    }

    void check() {
        if (cancelled) {
            throw new CancellationException("the request was cancelled");
        }
    }
}
