package io.invadapter.gpucheck.first;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.function.Consumer;

/** Work given to a stream, captured and replayed. */
final class Replay {
    private static final int CALLS = 10;
    private static final int ROUNDS = 7;
    /** A chip that was idle runs slowly at first. */
    private static final double WARM_UP_MILLISECONDS = 5;
    private static final int MAX_WARM_UPS = 1000;

    private Replay() {
    }

    /**
     * Microseconds of one call, as the least of some rounds of replays of ten.
     *
     * @param call gives the work to a stream; was called before
     */
    static double microseconds(CudaDriver driver, Consumer<CudaDriver.Stream> call) {
        try (CudaDriver.Stream stream = driver.newStream();
                CudaDriver.Graph graph = driver.record(stream, () -> {
                    for (int i = 0; i < CALLS; i++) {
                        call.accept(stream);
                    }
                });
                CudaDriver.Event before = driver.newEvent(); CudaDriver.Event after = driver.newEvent()) {
            double warm = 0;
            for (int i = 0; warm < WARM_UP_MILLISECONDS && i < MAX_WARM_UPS; i++) {
                warm += milliseconds(graph, stream, before, after);
            }
            double least = Double.POSITIVE_INFINITY;
            for (int i = 0; i < ROUNDS; i++) {
                least = Math.min(least, milliseconds(graph, stream, before, after));
            }
            return least * 1e3 / CALLS;
        }
    }

    private static double milliseconds(CudaDriver.Graph graph, CudaDriver.Stream stream, CudaDriver.Event before,
            CudaDriver.Event after) {
        before.record(stream);
        graph.launch(stream);
        after.record(stream);
        return after.millisecondsSince(before);
    }
}
