package io.invadapter.engine.pipeline;

import io.invadapter.engine.request.LoraUse;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;

/** Feeds one device of a {@link PipelinePool}, on a thread of its own. */
final class PoolWorker {
    private static final Duration LONGEST_PAUSE = Duration.ofMinutes(1);

    private final PoolState state;
    private final int picturesPerBatch;
    private final Supplier<PoolEngine> opener;
    private final Duration firstPause;
    private final Thread thread;
    private volatile PoolEngine engine;
    /** What the last requests asked for, beside those of the pipeline. */
    private List<LoraUse> loras = List.of();
    private Duration pause;

    /**
     * @param opener     of another engine like {@code engine}, or {@code null}
     * @param firstPause before it is asked to
     */
    PoolWorker(PoolState state, int picturesPerBatch, PoolEngine engine, Supplier<PoolEngine> opener, Duration firstPause) {
        this.state = state;
        this.picturesPerBatch = picturesPerBatch;
        this.engine = engine;
        this.opener = opener;
        this.firstPause = firstPause;
        this.pause = firstPause;
        this.thread = Thread.ofPlatform().daemon().name("invadapter pool " + engine.name()).unstarted(this::serve);
    }

    void start() {
        state.serves(this);
        thread.start();
    }

    /** The latest. */
    PoolEngine engine() {
        return engine;
    }

    /** Whether requests are carried out, or their listeners called, on the current thread. */
    boolean isOwnThread() {
        return thread == Thread.currentThread() || engine.isOwnThread();
    }

    /** Whether listeners are called on the current thread. */
    boolean isListenersThread() {
        return engine.isOwnThread();
    }

    /** Waits until the pool is closed and nothing is left to do. */
    void join() throws InterruptedException {
        thread.join();
    }

    private void serve() {
        for (List<PoolJob> batch = take(); !batch.isEmpty(); batch = take()) {
            if (!carriedOut(batch) && !comesBack()) {
                return;
            }
        }
        closeEngine();
    }

    private List<PoolJob> take() {
        List<PoolJob> batch = state.take(this, loras, Math.min(picturesPerBatch, engine.picturesPerBatch()));
        if (!batch.isEmpty()) {
            loras = batch.getFirst().kind().loras();
        }
        return batch;
    }

    /** Whether the device still works. */
    private boolean carriedOut(List<PoolJob> batch) {
        try {
            carryOut(batch);
            pause = firstPause;
            return true;
        } catch (DeviceException e) {
            fail(batch, e);
            return false;
        } finally {
            // One that was cancelled a moment ago is neither open nor, perhaps, done.
            state.giveBack(batch).forEach(PoolJob::finish);
        }
    }

    /** @throws DeviceException when the device has failed */
    private void carryOut(List<PoolJob> batch) {
        // The way to open a pipeline may have left its interrupt behind; it means nobody's work.
        Thread.interrupted();
        try {
            engine.carryOut(batch.stream().map(PoolJob::order).toList());
        } catch (Throwable e) {
            if (e instanceof DeviceException failure && !(e instanceof OutOfDeviceMemoryException)) {
                throw failure;
            }
            List<PoolJob> open = batch.stream().filter(PoolJob::isOpen).toList();
            if (open.size() == 1) {
                open.getFirst().fail(e);
            } else if (!open.isEmpty()) {
                // Who is to blame shows when each is alone.
                Log.warning(engine.name() + ": a batch of " + batch.size() + " requests failed and is done again one by one: " + e);
                open.forEach(job -> carryOut(List.of(job)));
            }
        }
        finishDone(batch);
    }

    private static void finishDone(List<PoolJob> batch) {
        batch.stream().filter(job -> !job.order().isOpen()).forEach(PoolJob::finish);
    }

    private void fail(List<PoolJob> batch, DeviceException failure) {
        DeviceException told = new DeviceException("the device " + engine.name() + " has failed and is out of service: "
                + failure.getMessage(), failure);
        Log.warning(told.getMessage());
        finishDone(batch);
        List<PoolJob> lost = state.fails(this, told);
        batch.forEach(job -> job.fail(told));
        lost.forEach(job -> job.fail(told));
        closeEngine();
    }

    private void closeEngine() {
        try {
            engine.close();
        } catch (RuntimeException | Error e) {
            // A device that has failed may fail to close, too.
            Log.warning("the device " + engine.name() + " cannot be closed: " + e.getMessage());
        }
    }

    /** Waits and opens, until it works or the pool is closed. */
    private boolean comesBack() {
        while (opener != null && !state.isClosedWithin(pause)) {
            pause = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) < 0 ? pause.multipliedBy(2) : LONGEST_PAUSE;
            try {
                engine = opener.get();
                loras = List.of();
            } catch (RuntimeException | Error e) {
                Log.warning("the device " + engine.name() + " cannot be opened and is tried again in " + pause.toSeconds() + " s: "
                        + e.getMessage());
                continue;
            }
            state.serves(this);
            Log.info("the device " + engine.name() + " is in service again");
            return true;
        }
        return false;
    }
}
