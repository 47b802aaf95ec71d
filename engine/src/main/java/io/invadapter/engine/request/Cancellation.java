package io.invadapter.engine.request;

import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CopyOnWriteArrayList;

/** Stops a request, from any thread. */
public final class Cancellation {
    private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
    private volatile boolean cancelled;

    /**
     * The request ends with a {@link CancellationException}: at once while it waits for its device, then before its next step, or
     * within one on a device that computes operator by operator, as a CPU does.
     */
    public void cancel() {
        cancelled = true;
        listeners.forEach(Runnable::run);
    }

    /** {@code listener} may be run more than once, and at once when this is cancelled already. */
    public void addListener(Runnable listener) {
        listeners.add(listener);
        if (cancelled) {
            listener.run();
        }
    }

    public void removeListener(Runnable listener) {
        listeners.remove(listener);
    }

    public boolean isCancelled() {
        return cancelled;
    }
}
