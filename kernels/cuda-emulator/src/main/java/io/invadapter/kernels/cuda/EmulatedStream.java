package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;

/**
 * A stream of {@link EmulatorDriver}: work waits in it until somebody waits for the stream, as late as CUDA allows, so that a
 * forgotten synchronisation shows as a wrong result.
 */
final class EmulatedStream implements CudaDriver.Stream {
    private final EmulatorDriver driver;
    private final long number;
    private final Queue<Runnable> pending = new ArrayDeque<>();
    /** What is being recorded, or null. */
    private List<EmulatedWork> recording;
    /** When, in made-up time, all that it was given is done. */
    private long end;
    private boolean closed;

    EmulatedStream(EmulatorDriver driver, long number) {
        this.driver = driver;
        this.number = number;
    }

    @Override
    public long handle() {
        return number;
    }

    void add(EmulatedWork work) {
        checkOpen();
        if (recording != null) {
            recording.add(work);
        } else {
            start(work);
            end = driver.clock().eager(end, work);
        }
    }

    /** A graph's work, at once. */
    void replay(List<EmulatedWork> graph) {
        checkOpen();
        if (recording != null) {
            recording.addAll(graph);
            return;
        }
        driver.clock().startGraph();
        for (EmulatedWork work : graph) {
            start(work);
            end = driver.clock().replayed(end, work);
        }
    }

    private void start(EmulatedWork work) {
        if (driver.does(work)) {
            pending.add(work.run());
        }
    }

    /** Takes no time; returns when it is passed. */
    long mark(Runnable passed) {
        checkOpen();
        pending.add(passed);
        return driver.clock().mark(end);
    }

    /** Does what waits, until {@code last} is done or nothing is left; the rest is forgotten when it fails. */
    void run(Runnable last) {
        try {
            while (!pending.isEmpty()) {
                Runnable work = pending.remove();
                work.run();
                if (work == last) {
                    return;
                }
            }
            driver.clock().waitUntil(end);
        } catch (RuntimeException | Error e) {
            pending.clear();
            throw e;
        }
    }

    void beginRecording() {
        checkOpen();
        recording = new ArrayList<>();
    }

    List<EmulatedWork> endRecording() {
        List<EmulatedWork> recorded = recording;
        recording = null;
        return recorded;
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("use of a closed stream");
        }
    }

    @Override
    public void synchronize() {
        checkOpen();
        driver.notRecordable("waiting for a stream");
        run(null);
    }

    /** What waits is still done, as by CUDA. */
    @Override
    public void close() {
        checkOpen();
        driver.notRecordable("destroying a stream");
        run(null);
        closed = true;
        driver.forget(this);
    }
}
