package io.invadapter.engine;

/** Told how far a request is; called on the thread that runs it. */
@FunctionalInterface
public interface ProgressListener {

    /** Not interested. */
    ProgressListener NONE = (phase, step, steps) -> { };

    /** @param phase {@code "inverting"}, {@code "generating"} or {@code "decoding"}; @param step finished ones, 1 to {@code steps} */
    void onStep(String phase, int step, int steps);
}
