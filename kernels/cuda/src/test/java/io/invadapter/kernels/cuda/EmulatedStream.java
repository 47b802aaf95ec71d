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
    private List<Runnable> recording;
    private boolean closed;

    EmulatedStream(EmulatorDriver driver, long number) {
        this.driver = driver;
        this.number = number;
    }

    @Override
    public long handle() {
        return number;
    }

    void add(Runnable work) {
        checkOpen();
        if (recording != null) {
            recording.add(work);
        } else {
            pending.add(work);
        }
    }

    void addAll(List<Runnable> work) {
        work.forEach(this::add);
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
        } catch (RuntimeException | Error e) {
            pending.clear();
            throw e;
        }
    }

    void beginRecording() {
        checkOpen();
        recording = new ArrayList<>();
    }

    List<Runnable> endRecording() {
        List<Runnable> recorded = recording;
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
