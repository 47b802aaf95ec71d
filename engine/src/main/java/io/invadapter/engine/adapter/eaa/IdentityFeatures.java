package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.unet.Site;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;

/**
 * K' and V' of every attention layer at one timestep, for one or more identities, in device memory: layer after layer, in a
 * layer identity after identity.
 */
public final class IdentityFeatures {
    private final Device device;
    private final int identities;
    private final Tensor block;
    private final Map<Site, Tensor> layers = new LinkedHashMap<>();

    /** @param shapes {@code [L', 2 D]} of each layer */
    IdentityFeatures(Device device, int identities, Map<Site, int[]> shapes) {
        this.device = device;
        this.identities = identities;
        long elements = 0;
        for (int[] shape : shapes.values()) {
            elements += (long) identities * shape[0] * shape[1];
        }
        block = device.allocate(device.precision().type(), Math.toIntExact(elements));
        long start = 0;
        for (Map.Entry<Site, int[]> layer : shapes.entrySet()) {
            Tensor part = block.part(start, identities, layer.getValue()[0], layer.getValue()[1]);
            layers.put(layer.getKey(), part);
            start += part.elements();
        }
    }

    /** All of it. */
    Tensor block() {
        return block;
    }

    /** {@code [I, L', 2 D]}: K', then V'. */
    Tensor keyValue(Site layer) {
        return layers.get(layer);
    }

    /** Elements that one identity takes. */
    public int elements() {
        return (int) (block.elements() / identities);
    }

    /** Copies one identity's features to {@code target [elements()]}. */
    public void copyTo(Tensor target, int identity) {
        if (identities == 1) {
            device.copy(block, target);
        } else {
            eachLayer(target, identity, device::copy);
        }
    }

    /** Copies {@code source [elements()]} to one identity's features. */
    public void copyFrom(Tensor source, int identity) {
        if (identities == 1) {
            device.copy(source, block);
        } else {
            eachLayer(source, identity, (own, part) -> device.copy(part, own));
        }
    }

    /** Every layer's own rows of one identity, with their place in {@code flat [elements()]}. */
    private void eachLayer(Tensor flat, int identity, BiConsumer<Tensor, Tensor> action) {
        long start = 0;
        for (Tensor layer : layers.values()) {
            Tensor own = layer.rows(identity, 1);
            action.accept(own, flat.part(start, (int) own.elements()));
            start += own.elements();
        }
    }
}
