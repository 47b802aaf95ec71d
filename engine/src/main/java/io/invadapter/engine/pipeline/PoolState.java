package io.invadapter.engine.pipeline;

import io.invadapter.engine.request.LoraUse;
import io.invadapter.kernels.DeviceException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/** What the clients and the devices of a {@link PipelinePool} share: who waits, what is under way, which devices work. */
final class PoolState {
    private final int capacity;
    private final ReentrantLock lock = new ReentrantLock(true);
    private final Condition work = lock.newCondition();
    private final Condition room = lock.newCondition();
    private final Condition end = lock.newCondition();
    // What follows is guarded by the lock.
    private final PoolQueue queue = new PoolQueue();
    private final List<PoolJob> running = new ArrayList<>();
    private final List<PoolWorker> inService = new ArrayList<>();
    /** Workers that wait, with the LoRAs that their devices have. */
    private final Map<PoolWorker, List<LoraUse>> idle = new HashMap<>();
    private boolean closed;
    private DeviceException lastFailure;

    /** @param capacity requests that may wait */
    PoolState(int capacity) {
        this.capacity = capacity;
    }

    private <T> T locked(Supplier<T> work) {
        lock.lock();
        try {
            return work.get();
        } finally {
            lock.unlock();
        }
    }

    // --- for clients ------------------------------------------------------------------------------------------------

    /** @throws PoolRejectedException when the queue is full, the pool is closed or no device is left */
    void enqueue(PoolJob job) {
        lock.lock();
        try {
            add(job);
        } finally {
            lock.unlock();
        }
    }

    /** As {@link #enqueue(PoolJob)}, waiting for room. */
    void enqueue(PoolJob job, Duration patience) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            long left = TimeUnit.NANOSECONDS.convert(patience);
            while (left > 0 && queue.size() >= capacity && !closed && !inService.isEmpty()) {
                left = room.awaitNanos(left);
            }
            add(job);
        } finally {
            lock.unlock();
        }
    }

    private void add(PoolJob job) {
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
        work.signalAll();
    }

    void withdraw(PoolJob job) {
        lock.lock();
        try {
            if (queue.remove(job)) {
                room.signalAll();
            }
        } finally {
            lock.unlock();
        }
    }

    int waiting() {
        return locked(queue::size);
    }

    List<String> devicesInService() {
        return locked(() -> inService.stream().map(worker -> worker.engine().name()).toList());
    }

    /** Nothing is taken any more. */
    void close() {
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

    /** Empties the queue; with what is under way. */
    List<PoolJob> withdrawAll() {
        return locked(() -> {
            List<PoolJob> all = queue.removeAll();
            all.addAll(running);
            return all;
        });
    }

    // --- for devices ------------------------------------------------------------------------------------------------

    /**
     * Waits for requests.
     *
     * @param loras        that the worker's device has
     * @param mostPictures for which requests are joined
     * @return empty when the pool is closed and none is left, which ends the worker's service
     */
    List<PoolJob> take(PoolWorker worker, List<LoraUse> loras, int mostPictures) {
        lock.lock();
        try {
            idle.put(worker, loras);
            while (!closed && !isNextFor(loras)) {
                work.awaitUninterruptibly();
            }
            idle.remove(worker);
            // What another device could begin at once is not worth a larger batch here.
            List<PoolJob> batch = queue.take(loras, mostPictures, Math.max(1, queue.size() - idle.size()));
            // What was left to this device is now anybody's.
            work.signalAll();
            running.addAll(batch);
            if (batch.isEmpty()) {
                inService.remove(worker);
            }
            room.signalAll();
            return batch;
        } finally {
            lock.unlock();
        }
    }

    /** Whether there is a request for a device that has these LoRAs, and not rather for another that waits and has those asked for. */
    private boolean isNextFor(List<LoraUse> loras) {
        PoolJob next = queue.next(loras);
        return next != null && (next.kind().loras().equals(loras) || !idle.containsValue(next.kind().loras()));
    }

    /**
     * What is still open of the batch goes on when it is its client's turn again, before that client's other requests.
     *
     * @return the others
     */
    List<PoolJob> giveBack(List<PoolJob> batch) {
        return locked(() -> {
            running.removeAll(batch);
            List<PoolJob> over = new ArrayList<>();
            for (PoolJob job : batch) {
                if (job.isOpen()) {
                    queue.addFirst(job);
                    work.signalAll();
                } else {
                    over.add(job);
                }
            }
            return over;
        });
    }

    void serves(PoolWorker worker) {
        locked(() -> inService.add(worker));
    }

    /** @return what waited, when no device is left for it */
    List<PoolJob> fails(PoolWorker worker, DeviceException failure) {
        return locked(() -> {
            inService.remove(worker);
            lastFailure = failure;
            room.signalAll();
            return inService.isEmpty() ? queue.removeAll() : List.of();
        });
    }

    /** Waits; whether the pool is closed. */
    boolean isClosedWithin(Duration pause) {
        lock.lock();
        try {
            long left = pause.toNanos();
            while (left > 0 && !closed) {
                left = end.awaitNanos(left);
            }
            return closed;
        } catch (InterruptedException e) {
            // Nobody interrupts a worker but the way to open its pipeline; the pause is shorter then.
            return closed;
        } finally {
            lock.unlock();
        }
    }
}
