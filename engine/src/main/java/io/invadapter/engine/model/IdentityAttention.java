package io.invadapter.engine.model;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;

/**
 * What the attention layers of one UNet pass have to do with the identity. Layers are named as in diffusers, e.g.
 * {@code down_blocks.0.attentions.0.transformer_blocks.0.attn1}; {@code attn1} is self, {@code attn2} cross attention.
 */
public interface IdentityAttention {

    /** The frozen base model. */
    IdentityAttention NONE = new IdentityAttention() {
    };

    /**
     * Sees the input of every attention layer, the identity diffusion feature of Inv-Adapter.
     *
     * @param hiddenStates {@code [B, L, D]}; gone after the call
     */
    default void record(String layer, Tensor hiddenStates) {
    }

    /** The second source of that layer's attention, or {@code null}. */
    default Device.Identity identity(String layer) {
        return null;
    }
}
