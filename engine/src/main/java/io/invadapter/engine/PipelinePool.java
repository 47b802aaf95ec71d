package io.invadapter.engine;

import io.invadapter.engine.PoolQueue.Job;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Pipelines behind one queue, for servers: usually one for each device, all with the same model and adapter.
 *
 * {@snippet :
 * try (PipelinePool pool = PipelinePool.builder()
 *         .pipeline(Pipeline.builder().model(model).adapter(adapter).device("cuda:0").open())
 *         .pipeline(Pipeline.builder().model(model).adapter(adapter).device("cuda:1").open())
 *         .queueCapacity(100).picturesPerBatch(4).build()) {
 *     CompletableFuture<GenerationResult> result = pool.submit("client 17", request);
 *     result.orTimeout(60, TimeUnit.SECONDS).thenAcceptAsync(done -> send(done.images().getFirst()));
 * }
 * }
 *
 * <p>The clients are served in turn, each in the order of its requests: one that submits a hundred does not keep another
 * from its first. Requests that wait while a device becomes free go through the network together as far as they can share a
 * batch (the same size, steps, identity layers and rows) and no other device is free for them; none waits for others to come.
 *
 * <p>A result's future is cancelled by {@link CompletableFuture#cancel}, by the request's {@link Cancellation}, or by
 * completing it otherwise, as {@code orTimeout} does: a waiting request then leaves the queue at once, a running one stops
 * before its next step. Stages that depend on a future run on the thread of its device: what takes long belongs into the
 * {@code …Async} ones.
 *
 * <p>A request that fails fails alone, also when it shares a batch. A device that fails ({@link DeviceException}, other than
 * for want of memory) takes the requests that were running on it along and is out of service from then on; the others go on.
 */
public final class PipelinePool implements AutoCloseable {
    private static final String COMMON_CLIENT = "";

    private final int capacity;
    private final int picturesPerBatch;
    private final PoolEngine first;
    private final Map<PoolEngine, Thread> workers = new LinkedHashMap<>();

    private final ReentrantLock lock = new ReentrantLock(true);
    private final Condition work = lock.newCondition();
    private final Condition room = lock.newCondition();
    // What follows is guarded by the lock.
    private final PoolQueue queue = new PoolQueue();
    private final List<Job> running = new ArrayList<>();
    private final List<PoolEngine> inService;
    private int idle;
    private boolean closed;
    private DeviceException lastFailure;

    public static Builder builder() {
        return new Builder();
    }

    /** Collects pipelines and limits. */
    public static final class Builder {
        private final List<Pipeline> pipelines = new ArrayList<>();
        private int queueCapacity = 100;
        private int picturesPerBatch = 4;

        private Builder() {
        }

        /** Belongs to the pool from {@link #build} on, and is closed with it. */
        public Builder pipeline(Pipeline value) {
            pipelines.add(Objects.requireNonNull(value));
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

        /** @throws IllegalArgumentException when there is no pipeline, or a limit is less than 1 */
        public PipelinePool build() {
            return new PipelinePool(pipelines.stream().map(PoolEngine::of).toList(), queueCapacity, picturesPerBatch);
        }
    }

    PipelinePool(List<PoolEngine> engines, int capacity, int picturesPerBatch) {
        if (engines.isEmpty() || capacity < 1 || picturesPerBatch < 1) {
            throw new IllegalArgumentException("a pool needs a pipeline, room for a request and for a picture in a batch, not "
                    + engines.size() + ", " + capacity + " and " + picturesPerBatch);
        }
        this.capacity = capacity;
        this.picturesPerBatch = picturesPerBatch;
        this.first = engines.getFirst();
        this.inService = new ArrayList<>(engines);
        for (PoolEngine engine : engines) {
            workers.put(engine, Thread.ofPlatform().daemon().name("invadapter " + engine.name()).unstarted(() -> serve(engine)));
        }
        workers.values().forEach(Thread::start);
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
     * @throws InvalidRequestException when the request cannot be carried out as asked
     * @throws PoolRejectedException   when the queue is full, the pool is closed or no device is left
     */
    public CompletableFuture<GenerationResult> submit(String client, GenerationRequest request) {
        Job job = job(client, request);
        lock.lock();
        try {
            enqueue(job);
        } finally {
            lock.unlock();
        }
        return watched(job, request.cancellation());
    }

    /**
     * Queues a request, waiting for room in the queue when it is full.
     *
     * @param client   whose turn it is when the request is served
     * @param patience how long to wait at most
     * @throws InvalidRequestException when the request cannot be carried out as asked
     * @throws PoolRejectedException   when the queue was full all that time, the pool is closed or no device is left
     * @throws InterruptedException    when the thread is interrupted while it waits
     */
    public CompletableFuture<GenerationResult> submit(String client, GenerationRequest request, Duration patience)
            throws InterruptedException {
        Job job = job(client, request);
        lock.lockInterruptibly();
        try {
            long left = patience.toNanos();
            while (left > 0 && queue.size() >= capacity && !closed && !inService.isEmpty()) {
                left = room.awaitNanos(left);
            }
            enqueue(job);
        } finally {
            lock.unlock();
        }
        return watched(job, request.cancellation());
    }

    /** Requests that wait. */
    public int waiting() {
        lock.lock();
        try {
            return queue.size();
        } finally {
            lock.unlock();
        }
    }

    /** Names of the devices that work. */
    public List<String> devicesInService() {
        lock.lock();
        try {
            return inService.stream().map(PoolEngine::name).toList();
        } finally {
            lock.unlock();
        }
    }

    private Job job(String client, GenerationRequest request) {
        // Its own: the builder's may be shared by many requests, of which only one is cancelled through its future.
        Cancellation cancellation = new Cancellation();
        return new Job(Objects.requireNonNull(client), request.with(cancellation), first.kind(request), cancellation,
                new CompletableFuture<>());
    }

    private void enqueue(Job job) {
        if (closed) {
            throw new PoolRejectedException("the pool is closed");
        }
        if (inService.isEmpty()) {
            throw new PoolRejectedException("no device is left: " + lastFailure.getMessage());
        }
        if (queue.size() >= capacity) {
            throw new PoolRejectedException("too many requests: " + capacity + " are waiting already");
        }
        queue.add(job);
        work.signal();
    }

    /** Sees to it that the job goes where its future does. */
    private CompletableFuture<GenerationResult> watched(Job job, Cancellation asked) {
        Runnable cancel = () -> job.future().cancel(true);
        asked.addListener(cancel);
        job.future().whenComplete((result, failure) -> {
            asked.removeListener(cancel);
            withdraw(job);
        });
        return job.future();
    }

    private void withdraw(Job job) {
        lock.lock();
        try {
            if (queue.remove(job)) {
                room.signalAll();
            }
        } finally {
            lock.unlock();
        }
        job.cancellation().cancel();
    }

    // --- closing ----------------------------------------------------------------------------------------------------

    /**
     * Takes no more requests, waits until all that were accepted are done, and closes the pipelines. A thread that is
     * interrupted while it waits cancels them instead, as {@link #closeNow} does.
     *
     * @throws IllegalStateException on the thread of a device, which would wait for itself
     */
    @Override
    public void close() {
        end();
        boolean interrupted = false;
        for (Thread worker : workers.values()) {
            while (worker.isAlive()) {
                try {
                    worker.join();
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
     * @throws IllegalStateException on the thread of a device, which would wait for itself
     */
    public void closeNow() {
        end();
        cancelAll();
        close();
    }

    private void end() {
        if (workers.containsValue(Thread.currentThread())) {
            throw new IllegalStateException("the thread of a device cannot wait for itself: close the pool on another");
        }
        lock.lock();
        try {
            closed = true;
            work.signalAll();
            room.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void cancelAll() {
        List<Job> all;
        lock.lock();
        try {
            all = queue.removeAll();
            all.addAll(running);
        } finally {
            lock.unlock();
        }
        all.forEach(job -> job.future().cancel(true));
    }

    // --- workers ----------------------------------------------------------------------------------------------------

    private void serve(PoolEngine engine) {
        List<Job> batch = take();
        while (!batch.isEmpty()) {
            try {
                run(engine, batch);
            } catch (DeviceException e) {
                retire(engine, batch, e);
                return;
            } finally {
                finished(batch);
            }
            batch = take();
        }
        engine.close();
    }

    /** Waits for requests; empty when the pool is closed and none is left. */
    private List<Job> take() {
        lock.lock();
        try {
            idle++;
            while (queue.size() == 0 && !closed) {
                work.awaitUninterruptibly();
            }
            idle--;
            // What another device could begin at once is not worth a larger batch here.
            List<Job> batch = queue.take(picturesPerBatch, Math.max(1, queue.size() - idle));
            running.addAll(batch);
            room.signalAll();
            return batch;
        } finally {
            lock.unlock();
        }
    }

    private void finished(Collection<Job> batch) {
        lock.lock();
        try {
            running.removeAll(batch);
        } finally {
            lock.unlock();
        }
    }

    /** @throws DeviceException when the device has failed */
    private static void run(PoolEngine engine, List<Job> batch) {
        try {
            List<GenerationResult> results = engine.generate(batch.stream().map(Job::request).toList());
            for (int i = 0; i < batch.size(); i++) {
                if (results.get(i) == null) {
                    batch.get(i).future().cancel(true);
                } else {
                    batch.get(i).future().complete(results.get(i));
                }
            }
        } catch (Throwable e) {
            if (e instanceof DeviceException failure && !(e instanceof OutOfDeviceMemoryException)) {
                throw failure;
            }
            if (batch.size() == 1) {
                batch.getFirst().future().completeExceptionally(e);
            } else {
                // There may be memory for fewer; and who is to blame for another failure shows when each is alone.
                batch.stream().filter(job -> !job.future().isDone()).forEach(job -> run(engine, List.of(job)));
            }
        }
    }

    private void retire(PoolEngine engine, List<Job> batch, DeviceException failure) {
        DeviceException told = new DeviceException("the device " + engine.name() + " has failed and is out of service: "
                + failure.getMessage(), failure);
        List<Job> lost = new ArrayList<>(batch);
        lock.lock();
        try {
            inService.remove(engine);
            lastFailure = told;
            if (inService.isEmpty()) {
                lost.addAll(queue.removeAll());
                room.signalAll();
            }
        } finally {
            lock.unlock();
        }
        lost.forEach(job -> job.future().completeExceptionally(told));
        try {
            engine.close();
        } catch (RuntimeException e) {
            // A device that has failed may fail to close, too.
        }
    }
}
