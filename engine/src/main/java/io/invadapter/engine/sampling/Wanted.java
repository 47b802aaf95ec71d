package io.invadapter.engine.sampling;

import io.invadapter.kernels.Device;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** Work for somebody who may stop waiting for it. */
public final class Wanted {

    private Wanted() {
    }

    /**
     * Does {@code work}, or as much of it as the device does before it finds that nobody wants it any more; who counts on the
     * result asks again.
     */
    public static void run(Device device, BooleanSupplier wanted, Runnable work) {
        device.checkWhileComputing(() -> {
            if (!wanted.getAsBoolean()) {
                throw new CancellationException("nobody waits for it");
            }
        });
        try {
            if (wanted.getAsBoolean()) {
                work.run();
            }
        } catch (CancellationException e) {
            // Not wanted any more.
        } finally {
            device.checkWhileComputing(() -> { });
        }
    }

    /**
     * As {@link #run}, for a result.
     *
     * @throws CancellationException when nobody wants it any more
     */
    public static <T> T get(Device device, BooleanSupplier wanted, Supplier<T> work) {
        AtomicReference<T> result = new AtomicReference<>();
        run(device, wanted, () -> result.set(work.get()));
        if (result.get() == null) {
            throw new CancellationException("nobody waits for it");
        }
        return result.get();
    }
}
