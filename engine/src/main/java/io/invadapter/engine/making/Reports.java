package io.invadapter.engine.making;

import io.invadapter.engine.request.ProgressListener;
import java.awt.image.BufferedImage;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.function.Supplier;

/**
 * What a listener is told of one request: steps that only grow, also when work is done again. What it throws goes no further
 * than here, for others may share the device and the batch.
 */
public final class Reports {
    private final ProgressListener listener;
    private final Map<String, Integer> reported = new HashMap<>();
    private Throwable failure;

    public Reports(ProgressListener listener) {
        this.listener = listener;
    }

    /** Whether the listener has thrown; it is not called any more then. */
    public boolean failed() {
        return failure != null;
    }

    /** The end of a request that its listener, its client or an interrupt has ended. */
    public CancellationException cancelled() {
        CancellationException cancelled = new CancellationException(failure == null ? "the request was cancelled"
                : "the request was cancelled, for its listener failed: " + failure);
        cancelled.initCause(failure);
        return cancelled;
    }

    void step(String phase, int step, int steps, Supplier<List<BufferedImage>> preview) {
        if (step > reported.getOrDefault(phase, 0)) {
            reported.put(phase, step);
            Preview shown = new Preview(preview);
            tell(() -> listener.onStep(phase, step, steps, shown));
            shown.over = true;
        }
    }

    void picture(int index, BufferedImage picture) {
        tell(() -> listener.onPicture(index, picture));
    }

    private void tell(Runnable call) {
        if (failure == null) {
            try {
                call.run();
            } catch (Throwable e) {
                // Checked ones too: not every language knows them.
                failure = e;
            }
            // A listener may leave its interrupt behind; on this thread it would close files and mean nobody.
            if (Thread.interrupted() && failure == null) {
                failure = new InterruptedException("the listener was interrupted");
            }
        }
    }

    /** Needs the device, which is idle only while the listener is called. */
    private static final class Preview implements Supplier<List<BufferedImage>> {
        private final Supplier<List<BufferedImage>> pictures;
        private final Thread thread = Thread.currentThread();
        private volatile boolean over;

        Preview(Supplier<List<BufferedImage>> pictures) {
            this.pictures = pictures;
        }

        @Override
        public List<BufferedImage> get() {
            if (over || Thread.currentThread() != thread) {
                throw new IllegalStateException("a preview can be had only during the listener's call and on its thread");
            }
            return pictures.get();
        }
    }
}
