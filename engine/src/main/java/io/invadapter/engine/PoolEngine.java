package io.invadapter.engine;

import java.util.List;

/** What {@link PipelinePool} needs of a pipeline; used by one thread, except for {@link #kind}. */
interface PoolEngine extends AutoCloseable {

    /** Of the device, for messages. */
    String name();

    /**
     * What requests of one batch have in common.
     *
     * @throws InvalidRequestException when the request cannot be carried out as asked
     */
    Batch.Kind kind(GenerationRequest request);

    /** In the order of the requests, {@code null} for those that were cancelled. */
    List<GenerationResult> generate(List<GenerationRequest> requests);

    @Override
    void close();

    static PoolEngine of(Pipeline pipeline) {
        return new PoolEngine() {
            @Override
            public String name() {
                return pipeline.device().name();
            }

            @Override
            public Batch.Kind kind(GenerationRequest request) {
                pipeline.check(request);
                return pipeline.kind(request);
            }

            @Override
            public List<GenerationResult> generate(List<GenerationRequest> requests) {
                return pipeline.generateAll(requests);
            }

            @Override
            public void close() {
                pipeline.close();
            }
        };
    }
}
