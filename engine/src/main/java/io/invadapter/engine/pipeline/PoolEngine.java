package io.invadapter.engine.pipeline;

import io.invadapter.engine.making.Order;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.kernels.DeviceException;
import java.util.List;
import java.util.Objects;

/** What {@link PipelinePool} needs of a pipeline; used by one thread, except for {@link #order}. */
interface PoolEngine extends AutoCloseable {

    /** Of the device, for messages. */
    String name();

    /** See {@link Acceptance#order}. */
    Order order(GenerationRequest request);

    /** Pictures for which requests may be joined at most. */
    int picturesPerBatch();

    /**
     * See {@link Pipeline#carryOut}, in one turn.
     *
     * @throws DeviceException also when somebody else has closed the pipeline
     */
    void carryOut(List<Order> orders);

    /** Whether listeners of this engine are called on the current thread. */
    boolean isOwnThread();

    @Override
    void close();

    static PoolEngine of(Pipeline pipeline) {
        Objects.requireNonNull(pipeline, "the opener of a pipeline gave none");
        return new PoolEngine() {
            @Override
            public String name() {
                return pipeline.device().name();
            }

            @Override
            public Order order(GenerationRequest request) {
                return pipeline.acceptance().order(request);
            }

            @Override
            public int picturesPerBatch() {
                return pipeline.picturesPerBatch();
            }

            @Override
            public void carryOut(List<Order> orders) {
                try {
                    pipeline.carryOut(orders, true);
                } catch (IllegalStateException e) {
                    if (pipeline.isClosed()) {
                        throw new DeviceException("somebody else has closed its pipeline", e);
                    }
                    throw e;
                }
            }

            @Override
            public boolean isOwnThread() {
                return pipeline.isOwnThread();
            }

            @Override
            public void close() {
                pipeline.close();
            }
        };
    }
}
