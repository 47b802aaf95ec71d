package io.invadapter.engine;

import io.invadapter.engine.PoolQueue.Job;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
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
 *     result.orTimeout(60, TimeUnit.SECONDS).thenAcceptAsync(done -> send(done.images().getFirst()));
 * }
 * }
 *
 * <p>The clients are served in turn, each in the order of its requests: one that submits a hundred does not keep another
 * from its first. Requests that wait while a device becomes free go through the network together as far as they can share a
 * batch (the same size, steps, identity layers and rows), as far as the device gains by it ({@link
 * Pipeline.Builder#picturesPerBatch}), and no other device is free for them; none waits for others to come.
 *
 * <p>A result's future is cancelled by {@link CompletableFuture#cancel}, by the request's {@link Cancellation}, or by
 * completing it otherwise, as {@code orTimeout} does: a waiting request then leaves the queue at once, a running one stops
 * soon. Stages that depend on a future run on a thread of its device: what takes long belongs into the {@code …Async} ones.
 *
 * <p>A request that fails fails alone, also when it shares a batch. A device that fails ({@link DeviceException}, other than
 * for want of memory) takes the requests that were running on it along and is out of service; the others go on. It comes back
 * when its pipeline was given as a way to open it ({@link Builder#pipeline(Supplier)}). Failures and returns are told to the
 * logger {@code io.invadapter} of {@link System.Logger}.
 */
public final class PipelinePool implements AutoCloseable {
    private static final String COMMON_CLIENT = "";
    /** Before a device that has failed is opened again. */
    private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);
    private static final Duration LONGEST_PAUSE = Duration.ofMinutes(1);

    private final int capacity;
    private final int picturesPerBatch;
    private final Duration firstPause;
    private final List<Worker> workers = new ArrayList<>();

    private final ReentrantLock lock = new ReentrantLock(true);
    private final Condition work = lock.newCondition();
    private final Condition room = lock.newCondition();
    private final Condition end = lock.newCondition();
    // What follows is guarded by the lock.
    private final PoolQueue queue = new PoolQueue();
    private final List<Job> running = new ArrayList<>();
    private final List<Worker> inService = new ArrayList<>();
    private int idle;
    private boolean closed;
    private DeviceException lastFailure;

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
         * Opens what is to be opened, one after the other.
         *
         * @throws IllegalArgumentException when there is no pipeline, or a limit is less than 1
         * @throws RuntimeException         what an opener throws; those that are open are closed then
         */
        public PipelinePool build() {
            List<Source> sources = new ArrayList<>();
            pipelines.forEach(pipeline -> sources.add(new Source(PoolEngine.of(pipeline), null)));
            try {
                for (Supplier<Pipeline> opener : openers) {
                    Supplier<PoolEngine> engines = () -> PoolEngine.of(opener.get());
                    sources.add(new Source(engines.get(), engines));
                }
                return new PipelinePool(sources, queueCapacity, picturesPerBatch, FIRST_PAUSE);
            } catch (RuntimeException | Error e) {
                sources.forEach(source -> source.engine.close());
                throw e;
            }
        }
    }

    /** @param opener of another one like it, or {@code null} */
    record Source(PoolEngine engine, Supplier<PoolEngine> opener) {
    }

    PipelinePool(List<Source> sources, int capacity, int picturesPerBatch, Duration firstPause) {
        if (sources.isEmpty() || capacity < 1 || picturesPerBatch < 1) {
            throw new IllegalArgumentException("a pool needs a pipeline, room for a request and for a picture in a batch, not "
                    + sources.size() + ", " + capacity + " and " + picturesPerBatch);
        }
        this.capacity = capacity;
        this.picturesPerBatch = picturesPerBatch;
        this.firstPause = firstPause;
        sources.forEach(source -> workers.add(new Worker(source)));
        inService.addAll(workers);
        workers.forEach(worker -> worker.thread.start());
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
            return inService.stream().map(worker -> worker.engine.name()).toList();
        } finally {
            lock.unlock();
        }
    }

    private Job job(String client, GenerationRequest request) {
        return new Job(Objects.requireNonNull(client, "client"), workers.getFirst().engine.order(request), new CompletableFuture<>());
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
        job.order().cancel();
    }

    // --- closing ----------------------------------------------------------------------------------------------------

    /**
     * Takes no more requests, waits until all that were accepted are done, and closes the pipelines. A thread that is
     * interrupted while it waits cancels them instead, as {@link #closeNow} does.
     *
     * @throws IllegalStateException on a thread of a device, which would wait for itself
     */
    @Override
    public void close() {
        end();
        boolean interrupted = false;
        for (Worker worker : workers) {
            while (worker.thread.isAlive()) {
                try {
                    worker.thread.join();
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
        if (workers.stream().anyMatch(worker -> worker.thread == Thread.currentThread() || worker.engine.isOwnThread())) {
            throw new IllegalStateException("the thread of a device cannot wait for itself: close the pool on another");
        }
        lock.lock();
        try {
            closed = true;
            work.signalAll();
            room.signalAll();
            end.signalAll();
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

    /** Feeds one device. */
    private final class Worker {
        private final Supplier<PoolEngine> opener;
        private final Thread thread;
        private volatile PoolEngine engine;
        private Duration pause = firstPause;

        Worker(Source source) {
            opener = source.opener;
            engine = source.engine;
            thread = Thread.ofPlatform().daemon().name("invadapter pool " + engine.name()).unstarted(this::serve);
        }

        private void serve() {
            List<Job> batch = take(engine);
            while (!batch.isEmpty()) {
                try {
                    run(batch);
                    pause = firstPause;
                } catch (DeviceException e) {
                    retire(batch, e);
                    if (!comesBack()) {
                        return;
                    }
                } finally {
                    finished(batch);
                }
                batch = take(engine);
            }
            engine.close();
        }

        /** @throws DeviceException when the device has failed */
        private void run(List<Job> batch) {
            List<Order> orders = batch.stream().map(Job::order).toList();
            try {
                engine.carryOut(orders);
            } catch (Throwable e) {
                if (e instanceof DeviceException failure && !(e instanceof OutOfDeviceMemoryException)) {
                    throw failure;
                }
                List<Job> open = batch.stream().filter(job -> job.order().isOpen()).toList();
                if (open.size() == 1) {
                    open.getFirst().future().completeExceptionally(e);
                } else if (!open.isEmpty()) {
                    // Who is to blame shows when each is alone.
                    Log.warning(engine.name() + ": a batch of " + batch.size() + " requests failed and is done again one by one: " + e);
                    open.forEach(job -> run(List.of(job)));
                }
            }
            batch.forEach(PipelinePool::complete);
        }

        private void retire(List<Job> batch, DeviceException failure) {
            DeviceException told = new DeviceException("the device " + engine.name() + " has failed and is out of service: "
                    + failure.getMessage(), failure);
            Log.warning(told.getMessage());
            List<Job> lost = new ArrayList<>();
            for (Job job : batch) {
                if (job.order().isOpen()) {
                    lost.add(job);
                } else {
                    complete(job);
                }
            }
            lock.lock();
            try {
                inService.remove(this);
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

        /** Waits and opens, until it works or the pool is closed. */
        private boolean comesBack() {
            while (opener != null && !endsWithin(pause)) {
                pause = pause.multipliedBy(2).compareTo(LONGEST_PAUSE) < 0 ? pause.multipliedBy(2) : LONGEST_PAUSE;
                try {
                    engine = opener.get();
                } catch (RuntimeException | Error e) {
                    Log.warning(thread.getName() + ": the device cannot be opened and is tried again in " + pause.toSeconds() + " s: "
                            + e.getMessage());
                    continue;
                }
                lock.lock();
                try {
                    inService.add(this);
                } finally {
                    lock.unlock();
                }
                Log.info("the device " + engine.name() + " is in service again");
                return true;
            }
            return false;
        }
    }

    /** Waits; whether the pool is closed. */
    private boolean endsWithin(Duration pause) {
        lock.lock();
        try {
            long left = pause.toNanos();
            while (left > 0 && !closed) {
                left = end.awaitNanos(left);
            }
            return closed;
        } catch (InterruptedException e) {
            // Nobody interrupts this thread but a stage of a request that it completed.
            return closed;
        } finally {
            lock.unlock();
        }
    }

    private static void complete(Job job) {
        try {
            job.future().complete(job.order().result());
        } catch (RuntimeException e) {
            job.future().completeExceptionally(e);
        }
    }

    /** Waits for requests; empty when the pool is closed and none is left. */
    private List<Job> take(PoolEngine engine) {
        lock.lock();
        try {
            idle++;
            while (queue.size() == 0 && !closed) {
                work.awaitUninterruptibly();
            }
            idle--;
            // What another device could begin at once is not worth a larger batch here.
            List<Job> batch = queue.take(Math.min(picturesPerBatch, engine.picturesPerBatch()), Math.max(1, queue.size() - idle));
            running.addAll(batch);
            room.signalAll();
            return batch;
        } finally {
            lock.unlock();
        }
    }

    private void finished(List<Job> batch) {
        lock.lock();
        try {
            running.removeAll(batch);
        } finally {
            lock.unlock();
        }
    }
}
