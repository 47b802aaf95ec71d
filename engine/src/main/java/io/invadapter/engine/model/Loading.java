package io.invadapter.engine.model;

import io.invadapter.engine.request.ProgressListener;

/** Counts the tensors of a model while its networks are made of them. */
public final class Loading {
    private final ProgressListener listener;
    private final int tensors;
    private int loaded;

    /** @param tensors that there are */
    public Loading(ProgressListener listener, int tensors) {
        this.listener = listener;
        this.tensors = tensors;
    }

    void add(int more) {
        if (more > 0) {
            loaded += more;
            listener.onStep("loading", loaded, tensors);
        }
    }
}
