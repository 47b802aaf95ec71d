package io.invadapter.engine.making;

import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * The one thread that a device is used on, whoever calls: libraries keep workers for every thread that computes with them.
 * Work is done in the order in which it came.
 */
public final class DeviceThread {
    private final ExecutorService executor;
    private volatile Thread thread;
    /** Guarded by this. */
    private Future<Object> end;

    public DeviceThread(String name) {
        executor = Executors.newSingleThreadExecutor(work -> {
            thread = Thread.ofPlatform().daemon().name(name).unstarted(work);
            return thread;
        });
    }

    public void rename(String name) {
        thread.setName(name);
    }

    public boolean isCurrent() {
        return Thread.currentThread() == thread;
    }

    public synchronized boolean isClosed() {
        return end != null;
    }

    /** @throws IllegalStateException on the thread itself, which would wait for itself */
    public void refuseItself(String what) {
        if (isCurrent()) {
            throw new IllegalStateException("a listener cannot " + what + ": the pipeline is at work on this very thread");
        }
    }

    /**
     * Does {@code work} on the device's thread and waits for it. What it throws is thrown here.
     *
     * @param stop called when this thread is interrupted while the work is under way; the work then ends soon
     * @throws CancellationException when this thread was interrupted before the work had begun; it stays interrupted
     * @throws IllegalStateException after {@link #close}
     */
    public <T> T call(Supplier<T> work, Runnable stop) {
        if (Thread.currentThread().isInterrupted()) {
            throw withdrawn();
        }
        return queue(work).await(stop);
    }

    /** @throws IllegalStateException after {@link #close} */
    public synchronized <T> Turn<T> queue(Supplier<T> work) {
        if (end != null) {
            throw new IllegalStateException("the pipeline is closed");
        }
        AtomicBoolean taken = new AtomicBoolean();
        return new Turn<>(taken, executor.submit(() -> {
            if (!taken.compareAndSet(false, true)) {
                // Withdrawn, but not yet out of the queue.
                throw withdrawn();
            }
            return work.get();
        }));
    }

    private static CancellationException withdrawn() {
        return new CancellationException("cancelled while waiting for the device");
    }

    /** Work that waits for the device's thread, or is under way there; {@code taken} by who does it or who withdraws it. */
    public record Turn<T>(AtomicBoolean taken, Future<T> result) {

        /** On any thread: what has not begun never will, and whoever awaits it goes on at once. */
        public void withdraw() {
            if (taken.compareAndSet(false, true)) {
                // Takes the work out of what stays in the queue, too, so that it holds no memory.
                result.cancel(false);
            }
        }

        /**
         * See {@link #call}.
         *
         * @throws CancellationException also when the work was withdrawn
         */
        public T await(Runnable stop) {
            try {
                return DeviceThread.await(result, () -> {
                    withdraw();
                    stop.run();
                });
            } catch (CancellationException e) {
                if (result.isCancelled()) {
                    throw withdrawn();
                }
                throw e;
            }
        }
    }

    /** @param interrupted called when this thread is; it goes on waiting, and stays interrupted */
    private static <T> T await(Future<T> result, Runnable interrupted) {
        boolean wasInterrupted = false;
        try {
            while (true) {
                try {
                    return result.get();
                } catch (InterruptedException e) {
                    wasInterrupted = true;
                    interrupted.run();
                }
            }
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case RuntimeException failure -> throw failure;
                case Error error -> throw error;
                default -> throw new IllegalStateException(e.getCause());
            }
        } finally {
            if (wasInterrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Takes no more work, does what waits already and then {@code last}, and ends. Whoever comes second only waits for that. */
    public void close(Runnable last) {
        boolean first = false;
        synchronized (this) {
            if (end == null) {
                first = true;
                end = executor.submit(last, null);
                executor.shutdown();
            }
        }
        try {
            await(end, () -> { });
        } catch (RuntimeException | Error e) {
            if (first) {
                throw e;
            }
        }
    }
}
