package io.invadapter.engine.request;

import java.awt.image.BufferedImage;
import java.util.List;
import java.util.function.Supplier;

/**
 * Told how far a request is, and given its pictures one by one. All methods are called on the thread that the pipeline's
 * device computes on, one after the other: while a listener is at work the device waits, so what takes long belongs elsewhere.
 * The pipeline refuses to be called from here.
 *
 * <p>Within a phase the steps only grow. A large request goes through the network in several batches: its steps are counted
 * over all of them, and the phases alternate.
 *
 * <p>A listener that throws ends its own request, which is then cancelled ({@link java.util.concurrent.CancellationException})
 * with that exception as the cause; others in the same batch go on.
 */
@FunctionalInterface
public interface ProgressListener {

    /** Not interested. */
    ProgressListener NONE = (phase, step, steps) -> { };

    /** @param phase {@code "inverting"}, {@code "generating"} or {@code "decoding"}, and {@code "loading"} while a pipeline is opened; @param step finished ones, 1 to {@code steps} */
    void onStep(String phase, int step, int steps);

    /**
     * As {@link #onStep(String, int, int)}, which it calls unless it is overridden, with what the pictures look like by now.
     *
     * @param preview computes, each time it is asked, a small picture of each that is under way, in the order of their seeds;
     *                empty in other phases than {@code "generating"} and where memory is too short for them; an {@link IllegalStateException} once this call is over
     */
    default void onStep(String phase, int step, int steps, Supplier<List<BufferedImage>> preview) {
        onStep(phase, step, steps);
    }

    /**
     * A picture is finished; others of the same request may still be under way.
     *
     * @param index   of the request's pictures, from 0: its seed is the request's + {@code index}
     * @param picture the one that the {@link GenerationResult} will hold at that index
     */
    default void onPicture(int index, BufferedImage picture) {
        // Who waits for the result need not be told.
    }
}
