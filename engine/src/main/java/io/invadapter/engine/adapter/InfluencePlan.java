package io.invadapter.engine.adapter;

import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.kernels.Tensor;
import java.util.List;

/**
 * An {@link Influence}'s share of a denoising plan: its tensors, and the operators that are recorded on them once and run in every step
 * of every request of that shape.
 */
public interface InfluencePlan {

    // --- what is recorded -------------------------------------------------------------------------------------------

    /** Passes through the network of its own, before those of the pictures; each in a scope of its own. */
    default List<Runnable> passes() {
        return List.of();
    }

    /** Rows in the pictures' batch; {@code null}: none. */
    default Guests guests() {
        return null;
    }

    /**
     * What the attention layers of one part of the pictures look at.
     *
     * @param part  of the layout, from 0
     * @param first of the plan's batch rows that the part goes through the network with: see {@link Influence.Place#batchRows}
     */
    AttentionHook hook(int part, int first, int rows);

    /** Rows of an influence that go through the network in the batch of the pictures, before theirs. */
    interface Guests {

        /** Float32 {@code [G, h, w, C]}, of the pictures' size. */
        Tensor latents();

        /** Where the network is trained for inpainting, what it gets behind them; else {@code null}. */
        Tensor canvas();

        /** Of the request that was started, as long as the pictures' texts. */
        List<float[]> texts();

        /** Takes the latents on by what the network predicted for them. */
        void move(Tensor predicted);
    }

    // --- for each request -------------------------------------------------------------------------------------------

    /** Writes the values of a request. @param influence whose shape made this */
    void start(Influence influence);

    /** Before each step: writes what differs from step to step. @param step of the pictures' walk, from 0 */
    default void before(int step) {
    }

    /** After each step that somebody still waits for. */
    default void after(int step) {
    }
}
