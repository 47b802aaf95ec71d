package io.invadapter.engine.unet;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;

/** What the attention layers of one UNet pass have to do with the identity. */
@FunctionalInterface
public interface IdentityAttention {

    /** The frozen base model. */
    IdentityAttention NONE = (layer, hiddenStates) -> null;

    /**
     * Sees the input of every attention layer, in the rows of an identity the diffusion feature of Inv-Adapter, and answers
     * with the second source of that layer's attention.
     *
     * @param layer        as in diffusers, e.g. {@code down_blocks.0.attentions.0.transformer_blocks.0.attn1}; {@code attn1}
     *                     is self, {@code attn2} cross attention
     * @param hiddenStates {@code [B, L, D]}; gone after the layer
     * @return in the current scope, or {@code null} for none
     */
    Device.Identity attend(String layer, Tensor hiddenStates);
}
