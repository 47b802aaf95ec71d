package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.MemorySegment;

/**
 * The way from the host into a stream without waiting: page-locked buffers in turn, each used again when its last copy is
 * done.
 */
final class Staging implements AutoCloseable {
    private static final int BUFFERS = 4;
    private static final int BUFFER_BYTES = 1 << 20;
    private static final int ALIGNMENT = 64;

    private final CudaDriver driver;
    private final CudaDriver.Stream stream;
    private final CudaDriver.HostBuffer[] buffers = new CudaDriver.HostBuffer[BUFFERS];
    private final CudaDriver.Event[] emptied = new CudaDriver.Event[BUFFERS];
    private int current;
    private int used;

    Staging(CudaDriver driver, CudaDriver.Stream stream) {
        this.driver = driver;
        this.stream = stream;
        try {
            for (int i = 0; i < BUFFERS; i++) {
                buffers[i] = driver.allocateHost(BUFFER_BYTES);
                emptied[i] = driver.newEvent();
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Gives a copy of {@code source} to the stream; the source may change as soon as this returns. */
    void copy(MemorySegment source, long address) {
        for (long done = 0; done < source.byteSize(); ) {
            if (used == BUFFER_BYTES) {
                turn();
            }
            int piece = (int) Math.min(BUFFER_BYTES - used, source.byteSize() - done);
            MemorySegment.copy(source, done, buffers[current].segment(), used, piece);
            driver.copyIn(address + done, buffers[current], used, piece, stream);
            used = Math.min(BUFFER_BYTES, Math.ceilDiv(used + piece, ALIGNMENT) * ALIGNMENT);
            done += piece;
        }
    }

    /** On to the next buffer, once the device has read what was in it. */
    private void turn() {
        emptied[current].record(stream);
        current = (current + 1) % BUFFERS;
        emptied[current].synchronize();
        used = 0;
    }

    @Override
    public void close() {
        for (int i = 0; i < BUFFERS; i++) {
            if (buffers[i] != null) {
                buffers[i].close();
            }
            if (emptied[i] != null) {
                emptied[i].close();
            }
        }
    }
}
