package io.invadapter.engine.unet;

import io.invadapter.kernels.Tensor;
import java.util.List;

/**
 * What a pass through the network is given: B rows.
 *
 * @param latents {@code [B, h, w, in]} in the device's precision, as {@link UNet#input} makes them
 * @param time    what the timestep adds: a row of {@link UNet#times} for all, or one for each
 * @param text    keys and values of the text of each row
 * @param hooks   what the attention layers look at besides, in this order
 */
public record UNetInput(Tensor latents, Tensor time, TextFeatures text, List<AttentionHook> hooks) {
    public UNetInput {
        hooks = List.copyOf(hooks);
    }
}
