package io.invadapter.engine.model;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;

/**
 * The Embedded Attention Adapter of Inv-Adapter (arXiv 2406.02881, equations 2 to 5). For every attention layer it turns
 * the identity's diffusion feature {@code F_id}, the input of the same layer in the identity's own pass, into keys and
 * values {@code K' = F_id W'k, V' = F_id W'v}; in cross attention the feature is aggregated first, {@code A F_id}.
 */
public final class EmbeddedAttentionAdapter {
    private final Device device;
    private final Map<String, Layer> layers = new LinkedHashMap<>();
    private final int identityLatentSize;
    private final double defaultScale;

    private record Layer(Device.Linear keyValue, Device.TokenMixer aggregation, int channels) {
    }

    /**
     * @param source keys {@code <layer>.eaa.to_k.weight}, {@code .to_v.weight [D, D]}, {@code .aggregate.weight [L', L]}
     *               (cross attention only; absent: no aggregation)
     * @throws WeightException when it is no adapter, or was made for another model
     */
    public static EmbeddedAttentionAdapter load(WeightSource source, UNet unet, Device device) {
        return new EmbeddedAttentionAdapter(source, unet, device);
    }

    private EmbeddedAttentionAdapter(WeightSource source, UNet unet, Device device) {
        this.device = device;
        Map<String, Integer> expected = unet.attentionLayers();
        TreeSet<String> named = new TreeSet<>();
        for (String name : source.names()) {
            int end = name.indexOf(".eaa.");
            if (end < 0) {
                throw new WeightException(source.description() + ": '" + name + "' is no adapter weight; expected an "
                        + "Inv-Adapter file with keys like " + expected.keySet().iterator().next() + ".eaa.to_k.weight");
            }
            named.add(name.substring(0, end));
        }
        Weights w = new Weights(source, device);
        for (String name : named) {
            Integer channels = expected.get(name);
            if (channels == null) {
                throw new WeightException(source.description() + ": made for another model, which has an attention layer '"
                        + name + "'; this model has none of that name");
            }
            Weights layer = w.in(name).in("eaa");
            if (!layer.has("to_k.weight") || source.tensor(name + ".eaa.to_k.weight").shape().length != 2
                    || source.tensor(name + ".eaa.to_k.weight").shape()[0] != channels) {
                throw new WeightException(source.description() + ": made for another model: expected " + name
                        + ".eaa.to_k.weight of shape [" + channels + ", " + channels + "]");
            }
            Device.TokenMixer aggregation = null;
            if (layer.has("aggregate.weight")) {
                long[] shape = source.tensor(name + ".eaa.aggregate.weight").shape();
                aggregation = device.tokenMixer(layer.tensor("aggregate.weight", (int) shape[0], (int) shape[shape.length - 1]));
            }
            layers.put(name, new Layer(layer.fused(channels, channels, "to_k", "to_v"), aggregation, channels));
        }
        if (layers.isEmpty()) {
            throw new WeightException(source.description() + ": holds no adapter weights");
        }
        this.identityLatentSize = (int) number(source, "id_latent_size", unet.config().sampleSize());
        this.defaultScale = number(source, "scale", 0.6);
    }

    private static double number(WeightSource source, String key, double fallback) {
        String text = source.metadata().get(key);
        try {
            return text == null ? fallback : Double.parseDouble(text);
        } catch (NumberFormatException e) {
            throw new WeightException(source.description() + ": metadata '" + key + "' is '" + text + "'; expected a number");
        }
    }

    /** Height and width of the identity's latents that the aggregation was trained for. */
    public int identityLatentSize() {
        return identityLatentSize;
    }

    /** The lambda the file recommends. */
    public double defaultScale() {
        return defaultScale;
    }

    /** Starts to record the identity's keys and values; give it to the identity's UNet pass. */
    public Features record() {
        return new Features();
    }

    /**
     * The identity as a second source of attention.
     *
     * @param features  recorded at the same timestep
     * @param rowScales lambda for each row of the batch; 0 leaves a row alone
     */
    public IdentityAttention inject(Features features, float[] rowScales, IdentityLayers which) {
        return new IdentityAttention() {
            @Override
            public Device.Identity identity(String layer) {
                Tensor keyValue = which.include(layer) ? features.keyValue.get(layer) : null;
                if (keyValue == null) {
                    return null;
                }
                int channels = keyValue.channels() / 2;
                return new Device.Identity(keyValue.columns(0, channels), keyValue.columns(channels, channels), rowScales);
            }
        };
    }

    /** K' and V' of every layer at one timestep, in device memory. */
    public final class Features implements IdentityAttention, AutoCloseable {
        private final Map<String, Tensor> keyValue = new HashMap<>();

        private Features() {
        }

        @Override
        public void record(String name, Tensor hiddenStates) {
            Layer layer = layers.get(name);
            if (layer == null) {
                return;
            }
            try (Scope scope = device.scope()) {
                Tensor features = layer.aggregation == null ? hiddenStates : device.mixTokens(hiddenStates, layer.aggregation);
                keyValue.put(name, device.keep(device.linear(features, layer.keyValue, Activation.NONE, null)));
            }
        }

        @Override
        public void close() {
            keyValue.values().forEach(device::release);
            keyValue.clear();
        }
    }
}
