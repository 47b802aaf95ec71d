package io.invadapter.engine.pipeline;

import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.kernels.DeviceException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/**
 * Pipelines behind one queue, for servers: usually one for each device, all with the same model and adapter.
 *
 * {@snippet :
 * try (PipelinePool pool = PipelinePool.builder()
 *         .pipeline(() -> Pipeline.builder().model(model).adapter(adapter).device("cuda:0").open())
 *         .pipeline(() -> Pipeline.builder().model(model).adapter(adapter).device("cuda:1").open())
 *         .queueCapacity(100).picturesPerBatch(4).build()) {
 *     CompletableFuture<GenerationResult> result = pool.submit("client 17", request);
 *     result.orTimeout(60, TimeUnit.SECONDS).thenAccept(done -> send(done.images().getFirst()));
 * }
 * }
 *
 * <p>The clients are served in turn, each in the order of its requests: one that submits a hundred, or one of a hundred pictures,
 * does not keep another from its first. Requests that wait while a device becomes free go through the network together as far as they can share a
 * batch (the same size, steps, identity layers and rows), as far as the device gains by it ({@link
 * Pipeline.Builder#picturesPerBatch}), and no other device is free for them; none waits for others to come.
 *
 * <p>To lay other LoRAs over a model takes longer than many a picture. So of the devices that are free the one takes a request that has its
 * LoRAs already, and a device goes on with clients whose next request asks for those that it has: a request whose turn it is is passed over
 * for that 4 times at most.
 *
 * <p>A result's future is cancelled by {@link CompletableFuture#cancel}, by the request's {@link io.invadapter.engine.request.Cancellation}, or by
 * completing it otherwise, as {@code orTimeout} does: a waiting request then leaves the queue at once, a running one stops
 * soon. Stages that depend on a future may take long and wait for other requests: no device waits for them.
 *
 * <p>A request that fails fails alone, also when it shares a batch. A device that fails ({@link DeviceException}, other than
 * for want of memory) takes the requests that were running on it along and is out of service; so is one whose pipeline somebody
 * else has closed. The others go on. It comes back when its pipeline was given as a way to open it ({@link Builder#pipeline(Supplier)}). Failures and returns are told to the
 * logger {@code io.invadapter} of {@link System.Logger}.
 */
public final class PipelinePool implements AutoCloseable {
    private static final String COMMON_CLIENT = "";
    /** Before a device that has failed is opened again. */
    private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);

    private final PoolState state;
    private final List<PoolWorker> workers;

    public static Builder builder() {
        return new Builder();
    }

    /** Collects pipelines and limits. */
    public static final class Builder {
        private final List<Supplier<Pipeline>> openers = new ArrayList<>();
        private final List<Pipeline> pipelines = new ArrayList<>();
        private int queueCapacity = 100;
        private int picturesPerBatch = 4;

        private Builder() {
        }

        /**
         * A pipeline that is open. It belongs to the pool from {@link #build} on, and is closed with it, or when its device fails,
         * for good.
         */
        public Builder pipeline(Pipeline value) {
            pipelines.add(Objects.requireNonNull(value, "pipeline"));
            return this;
        }

        /**
         * A pipeline that the pool opens: by {@link #build}, and again after its device has failed, first after a second, then,
         * as long as it fails, after twice as long each time, a minute at most.
         */
        public Builder pipeline(Supplier<Pipeline> opener) {
            openers.add(Objects.requireNonNull(opener, "opener"));
            return this;
        }

        /** Requests that may wait, not counting those under way; 100 when nothing is said. */
        public Builder queueCapacity(int value) {
            queueCapacity = value;
            return this;
        }

        /** The most pictures for which requests are joined; 1: never. 4 when nothing is said. */
        public Builder picturesPerBatch(int value) {
            picturesPerBatch = value;
            return this;
        }

        /**
         * Opens what is to be opened, one after the other. When that fails, those that are open are closed.
         *
         * @throws IllegalArgumentException when there is no pipeline, or a limit is less than 1; nothing is opened then
         * @throws RuntimeException         what an opener throws
         */
        public PipelinePool build() {
            List<Source> sources = new ArrayList<>();
            pipelines.forEach(pipeline -> sources.add(new Source(PoolEngine.of(pipeline), null)));
            try {
                if (pipelines.isEmpty() && openers.isEmpty() || queueCapacity < 1 || picturesPerBatch < 1) {
                    throw new IllegalArgumentException("a pool needs a pipeline, room for a request and for a picture in a batch, not "
                            + (pipelines.size() + openers.size()) + ", " + queueCapacity + " and " + picturesPerBatch);
                }
                for (Supplier<Pipeline> opener : openers) {
                    Supplier<PoolEngine> engines = () -> PoolEngine.of(opener.get());
                    sources.add(new Source(engines.get(), engines));
                }
                return new PipelinePool(sources, queueCapacity, picturesPerBatch, FIRST_PAUSE);
            } catch (RuntimeException | Error e) {
                for (Source source : sources) {
                    try {
                        source.engine.close();
                    } catch (RuntimeException | Error another) {
                        e.addSuppressed(another);
                    }
                }
                throw e;
            }
        }
    }

    /** @param opener of another one like it, or {@code null} */
    record Source(PoolEngine engine, Supplier<PoolEngine> opener) {
    }

    PipelinePool(List<Source> sources, int capacity, int picturesPerBatch, Duration firstPause) {
        state = new PoolState(capacity);
        workers = sources.stream().map(source -> new PoolWorker(state, picturesPerBatch, source.engine, source.opener, firstPause)).toList();
        workers.forEach(PoolWorker::start);
    }

    // --- for clients ------------------------------------------------------------------------------------------------

    /** As {@link #submit(String, GenerationRequest)}, for a client that all who do not name one have in common. */
    public CompletableFuture<GenerationResult> submit(GenerationRequest request) {
        return submit(COMMON_CLIENT, request);
    }

    /**
     * Queues a request.
     *
     * @param client whose turn it is when the request is served
     * @throws io.invadapter.base.InvalidRequestException when the request cannot be carried out as asked
     * @throws PoolRejectedException   when the queue is full, the pool is closed or no device is left
     * @throws IllegalStateException   when the caller is a listener of a request under way in this pool, whose device would wait
     */
    public CompletableFuture<GenerationResult> submit(String client, GenerationRequest request) {
        PoolJob job = job(client, request);
        state.enqueue(job);
        job.follow(request.cancellation());
        return job;
    }

    /**
     * Queues a request, waiting for room in the queue when it is full.
     *
     * @param client   whose turn it is when the request is served
     * @param patience how long to wait at most
     * @throws io.invadapter.base.InvalidRequestException when the request cannot be carried out as asked
     * @throws PoolRejectedException   when the queue was full all that time, the pool is closed or no device is left
     * @throws IllegalStateException   when the caller is a listener of a request under way in this pool, whose device would wait
     * @throws InterruptedException    when the thread is interrupted while it waits
     */
    public CompletableFuture<GenerationResult> submit(String client, GenerationRequest request, Duration patience)
            throws InterruptedException {
        PoolJob job = job(client, request);
        state.enqueue(job, Objects.requireNonNull(patience, "patience"));
        job.follow(request.cancellation());
        return job;
    }

    /** Requests that wait. */
    public int waiting() {
        return state.waiting();
    }

    /** Names of the devices that work. */
    public List<String> devicesInService() {
        return state.devicesInService();
    }

    private PoolJob job(String client, GenerationRequest request) {
        if (workers.stream().anyMatch(PoolWorker::isListenersThread)) {
            throw new IllegalStateException("a listener cannot submit a request: its device stands still until it returns; submit on "
                    + "another thread");
        }
        Objects.requireNonNull(client, "client");
        Objects.requireNonNull(request, "request");
        return new PoolJob(state, client, workers.getFirst().engine().order(request));
    }

    // --- closing ----------------------------------------------------------------------------------------------------

    /**
     * Takes no more requests, waits until all that were accepted are done, and closes the pipelines. Every future is done then,
     * while its stages may still run. A thread that is interrupted while it waits cancels the requests instead, as {@link
     * #closeNow} does.
     *
     * @throws IllegalStateException on a thread of a device, which would wait for itself
     */
    @Override
    public void close() {
        end();
        boolean interrupted = false;
        for (PoolWorker worker : workers) {
            for (boolean ended = false; !ended; ) {
                try {
                    worker.join();
                    ended = true;
                } catch (InterruptedException e) {
                    interrupted = true;
                    cancelAll();
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Takes no more requests, cancels those that wait and those under way, and closes the pipelines when the latter have
     * stopped.
     *
     * @throws IllegalStateException on a thread of a device, which would wait for itself
     */
    public void closeNow() {
        end();
        cancelAll();
        close();
    }

    private void end() {
        if (workers.stream().anyMatch(PoolWorker::isOwnThread)) {
            throw new IllegalStateException("the thread of a device cannot wait for itself: close the pool on another");
        }
        state.close();
    }

    private void cancelAll() {
        state.withdrawAll().forEach(PoolJob::endCancelled);
    }
}
