package io.invadapter.engine.unet;

import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Keys and values of the texts of one pass in every cross attention, {@code K = c Wk, V = c Wv}, in device memory. They depend
 * on no timestep: made once ({@link UNet#project}), they serve every step.
 */
public final class TextFeatures {
    private final Tensor contexts;
    private final Map<Site, Tensor> layers;

    /**
     * @param contexts {@code c [B, S, contextChannels]}
     * @param layers   {@code [B, S, 2 D]} of each
     */
    TextFeatures(Tensor contexts, Map<Site, Tensor> layers) {
        this.contexts = contexts;
        this.layers = layers;
    }

    /** All that it consists of. */
    public List<Tensor> tensors() {
        List<Tensor> tensors = new ArrayList<>(layers.values());
        tensors.add(contexts);
        return tensors;
    }

    /** Texts: rows of the pass. */
    public int rows() {
        return contexts.batch();
    }

    Tensor contexts() {
        return contexts;
    }

    /** {@code [B, S, 2 D]}: K, then V. */
    Tensor keyValue(Site layer) {
        return layers.get(layer);
    }
}
