package io.invadapter.engine.nn;

/** Layers whose weights are on a device until it is closed; its numbers, such as its configuration, can be read afterwards too. */
public interface Network extends AutoCloseable {

    /** Frees the weights. What was recorded with them is closed before. */
    @Override
    void close();
}
