package io.invadapter.kernels.cuda.choice;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.List;

/**
 * The scratch memory of a device, one for all that runs on its stream: work on a stream runs in order, so none needs its own.
 *
 * <p>It grows when more is asked for. A block that a recorded graph names lives as long as this does; sizes are powers of two, so
 * all blocks together are less than twice the last.
 */
public final class Workspace implements AutoCloseable {
    private static final long LEAST_BYTES = 1L << 20;

    private final CudaDriver driver;
    private final List<Long> outgrown = new ArrayList<>();
    private long address;
    private long bytes;
    private boolean recorded;

    public Workspace(CudaDriver driver) {
        this.driver = driver;
    }

    /**
     * At least that many bytes, until the next call; 0 for none. May be called while a graph is recorded once as much was asked
     * for before.
     *
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException when it has to grow and cannot; it is then as it was
     * @throws io.invadapter.kernels.cuda.driver.CudaException when it has to grow while a graph is recorded
     */
    public long address(long wanted) {
        if (wanted > bytes) {
            grow(wanted);
        }
        return wanted == 0 ? 0 : address;
    }

    private void grow(long wanted) {
        long size = Math.max(LEAST_BYTES, wanted == Long.highestOneBit(wanted) ? wanted : Long.highestOneBit(wanted) << 1);
        long grown = driver.allocate(size);
        if (recorded) {
            outgrown.add(address);
        } else if (address != 0) {
            driver.free(address);
        }
        address = grown;
        bytes = size;
        recorded = false;
    }

    /** A graph was recorded that may name this memory: its address stays valid. */
    public void recorded() {
        recorded = address != 0;
    }

    @Override
    public void close() {
        outgrown.forEach(driver::free);
        outgrown.clear();
        if (address != 0) {
            driver.free(address);
            address = 0;
            bytes = 0;
        }
    }
}
