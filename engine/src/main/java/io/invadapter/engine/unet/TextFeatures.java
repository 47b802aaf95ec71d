package io.invadapter.engine.unet;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.Map;

/**
 * Keys and values of the texts of one pass in every cross attention, {@code K = c Wk, V = c Wv}, in device memory. They depend
 * on no timestep: made once ({@link UNet#project}), they serve every step.
 */
public final class TextFeatures implements AutoCloseable {
    private final Device device;
    private final int rows;
    private final Map<Site, Tensor> layers;

    /** @param layers {@code [B, S, 2 D]} of each, B being {@code rows} */
    TextFeatures(Device device, int rows, Map<Site, Tensor> layers) {
        this.device = device;
        this.rows = rows;
        this.layers = layers;
    }

    /** Takes them out of the scope they were made in: they live until they are closed. */
    public TextFeatures keep() {
        layers.values().forEach(device::keep);
        return this;
    }

    /** Texts: rows of the pass. */
    public int rows() {
        return rows;
    }

    /** {@code [B, S, 2 D]}: K, then V. */
    Tensor keyValue(Site layer) {
        return layers.get(layer);
    }

    @Override
    public void close() {
        layers.values().forEach(device::release);
    }
}
