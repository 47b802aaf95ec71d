package io.invadapter.engine.pipeline;

import io.invadapter.engine.making.Batch;
import io.invadapter.engine.making.Order;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationResult;
import java.util.concurrent.CompletableFuture;

/**
 * A request in a {@link PipelinePool}, and the future that its client holds. The stages of that future are the client's code, which
 * may take long or wait for another request. So when the client ends it, the work for it is given up before they run; and when the
 * pool ends it, they run on a thread of their own.
 */
final class PoolJob extends CompletableFuture<GenerationResult> {
    private final PoolState state;
    private final String client;
    private final Order order;
    /** Guarded by the lock of {@code state}. */
    private int passes;

    PoolJob(PoolState state, String client, Order order) {
        this.state = state;
        this.client = client;
        this.order = order;
    }

    String client() {
        return client;
    }

    Order order() {
        return order;
    }

    /** How often it was next and another, whose LoRAs were on the device already, was taken. */
    int passes() {
        return passes;
    }

    void passOver() {
        passes++;
    }

    /** Those that it still needs. */
    int pictures() {
        return order.missing().length;
    }

    Batch.Kind kind() {
        return order.kind();
    }

    /** Whether there is anything left to do for it. */
    boolean isOpen() {
        return !isDone() && order.isOpen();
    }

    // --- ended by its client ----------------------------------------------------------------------------------------

    @Override
    public boolean cancel(boolean mayInterruptIfRunning) {
        giveUp();
        return super.cancel(mayInterruptIfRunning);
    }

    @Override
    public boolean complete(GenerationResult value) {
        giveUp();
        return super.complete(value);
    }

    @Override
    public boolean completeExceptionally(Throwable reason) {
        giveUp();
        return super.completeExceptionally(reason);
    }

    private void giveUp() {
        // In this order: a device that gives it back in between sees the one or is before the other.
        order.cancel();
        state.withdraw(this);
    }

    // --- ended by the pool ------------------------------------------------------------------------------------------

    /** With what came of its order. */
    void finish() {
        try {
            GenerationResult result = order.result();
            end(() -> complete(result));
        } catch (Throwable e) {
            fail(e);
        }
    }

    void fail(Throwable reason) {
        end(() -> completeExceptionally(reason));
    }

    void endCancelled() {
        end(() -> cancel(true));
    }

    /** Cancels it together with {@code asked}. */
    void follow(Cancellation asked) {
        Runnable cancel = this::endCancelled;
        asked.addListener(cancel);
        whenComplete((result, failure) -> asked.removeListener(cancel));
    }

    /** It is done when this returns; its stages may still run. */
    private void end(Runnable completion) {
        if (isDone()) {
            return;
        }
        try {
            Thread.ofPlatform().daemon().name("invadapter result").inheritInheritableThreadLocals(false).start(completion);
        } catch (OutOfMemoryError e) {
            // No more threads are to be had: better here than never.
            completion.run();
        }
        while (!isDone()) {
            Thread.yield();
        }
    }
}
