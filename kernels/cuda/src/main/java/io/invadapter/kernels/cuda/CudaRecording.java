package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.TensorPool;
import io.invadapter.kernels.cuda.driver.CudaDriver;

/**
 * Work in a memory of its own: run once as it is, which allocates that memory and lets cuDNN choose, then recorded as a CUDA
 * graph and replayed. The memory's addresses are part of the graph, so nobody else gets them while the recording lives.
 */
final class CudaRecording implements Device.Recording {
    /** Runs that may be under way: the device never waits, and a cancelled request stops soon. */
    private static final int AHEAD = 2;

    private final CudaDevice device;
    private final Runnable work;
    private final TensorPool pool;
    private final CudaDriver.Event[] done = new CudaDriver.Event[AHEAD];
    private CudaDriver.Graph graph;
    private long runs;

    CudaRecording(CudaDevice device, Runnable work) {
        this.device = device;
        this.work = work;
        this.pool = new TensorPool(device.memory());
        for (int i = 0; i < AHEAD; i++) {
            done[i] = device.driver().newEvent();
        }
    }

    @Override
    public void run() {
        CudaDriver.Event mark = done[(int) (runs % AHEAD)];
        mark.synchronize();
        if (runs == 0) {
            device.within(pool, work);
        } else {
            if (graph == null) {
                graph = device.driver().record(device.stream(), () -> device.within(pool, work));
            }
            graph.launch(device.stream());
        }
        mark.record(device.stream());
        runs++;
    }

    @Override
    public void close() {
        device.driver().synchronize();
        if (graph != null) {
            graph.close();
        }
        for (CudaDriver.Event event : done) {
            event.close();
        }
        pool.close();
    }
}
