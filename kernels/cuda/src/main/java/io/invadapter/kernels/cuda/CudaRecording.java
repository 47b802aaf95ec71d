package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.TensorPool;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.Set;

/**
 * Work in a memory of its own: run once as it is, which allocates that memory and lets the libraries' ways be chosen, then
 * recorded as a CUDA graph and replayed. The memory's addresses are part of the graph, so nobody else gets them while the
 * recording lives. Work that cannot be recorded, not at a second try either, goes on to be run as it is.
 */
final class CudaRecording implements Device.Recording {
    /** Runs that may be under way: the device never waits, and a cancelled request stops soon. */
    private static final int AHEAD = 2;
    /** Something else in the process may be to blame once. */
    private static final int ATTEMPTS = 2;

    private final CudaDevice device;
    private final Runnable work;
    private final TensorPool pool;
    private final CudaDriver.Event[] done = new CudaDriver.Event[AHEAD];
    private CudaDriver.Graph graph;
    private Set<ConvolutionPlans.Entry> plans = Set.of();
    private int refusals;
    /** Whether the pool has all the memory that the work asks for: then it can be recorded. */
    private boolean complete;
    private boolean gaveBack;
    private long runs;

    CudaRecording(CudaDevice device, Runnable work) {
        this.device = device;
        this.work = work;
        this.pool = new TensorPool(memory(device.memory()));
        try {
            for (int i = 0; i < AHEAD; i++) {
                done[i] = device.driver().newEvent();
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Notices when the pool gave something back because memory had run out: the next run will miss it. */
    private TensorPool.Memory memory(TensorPool.Memory source) {
        return new TensorPool.Memory() {
            @Override
            public long allocate(long bytes) {
                return source.allocate(bytes);
            }

            @Override
            public void free(long address, long bytes) {
                gaveBack = true;
                source.free(address, bytes);
            }
        };
    }

    @Override
    public void run() {
        CudaDriver.Event mark = done[(int) (runs % AHEAD)];
        mark.synchronize();
        if (complete && refusals < ATTEMPTS && graph == null) {
            record();
        }
        if (graph != null) {
            graph.launch(device.stream());
        } else {
            gaveBack = false;
            device.within(pool, work);
            complete = !gaveBack;
        }
        mark.record(device.stream());
        runs++;
    }

    private void record() {
        device.settleKernels();
        device.convolutions().startRecording();
        try {
            graph = device.driver().record(device.stream(), () -> device.within(pool, work));
            device.workspace().recorded();
            device.recorded();
        } catch (DeviceException e) {
            // Throws when the device is lost: then nothing goes on.
            device.driver().synchronize();
            if (++refusals == ATTEMPTS) {
                device.notRecordable(e.getMessage());
            }
        } finally {
            plans = device.convolutions().recorded();
        }
    }

    @Override
    public void close() {
        device.settle();
        if (graph != null) {
            graph.close();
        }
        device.convolutions().release(plans);
        for (CudaDriver.Event event : done) {
            if (event != null) {
                event.close();
            }
        }
        pool.close();
    }
}
