package io.invadapter.engine.unet;

import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.List;

/** What the attention layers of one UNet pass look at besides their own tokens and the text. */
@FunctionalInterface
public interface AttentionHook {

    /** The model as it is. */
    AttentionHook NONE = (site, input, into) -> { };

    /**
     * Sees the input of every attention layer, in the rows of an identity the diffusion feature of Inv-Adapter, and adds what the
     * layer is to look at.
     *
     * @param site  the layer
     * @param input {@code [B, L, D]}; gone after the layer
     * @param into  holds the layer's own keys and values, then what hooks before this one added; what is added lives in the current scope
     */
    void attend(Site site, Tensor input, List<Source> into);
}
