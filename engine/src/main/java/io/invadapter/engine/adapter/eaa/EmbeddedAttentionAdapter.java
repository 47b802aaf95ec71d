package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.nn.Network;
import io.invadapter.engine.nn.Weights;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.Site;
import io.invadapter.engine.unet.UNet;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.FileKind;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;

/**
 * The Embedded Attention Adapter of Inv-Adapter (arXiv 2406.02881, equations 2 to 5). For every attention layer it turns
 * the identity's diffusion feature {@code F_id}, the input of the same layer in the identity's own pass, into keys and
 * values {@code K' = F_id W'k, V' = F_id W'v}; in cross attention the feature is aggregated first, {@code A F_id}.
 */
public final class EmbeddedAttentionAdapter implements Network {
    /** Of an identity: 4096 pixels. */
    private static final int MOST_LATENT_SIZE = 512;
    /** Of a number in the metadata. */
    private static final int MOST = 1 << 20;

    private final Device device;
    private final Packer packer;
    private final Map<Site, Layer> layers = new LinkedHashMap<>();
    private final int contextChannels;
    private final int identityLatentSize;
    private final double defaultScale;

    private record Layer(UNet.AttentionLayer place, Device.Linear keyValue, Device.TokenMixer aggregation) {
        int channels() {
            return place.channels();
        }

        boolean fits(int height, int width) {
            return aggregation == null || aggregation.inTokens() == place.tokens(height, width);
        }

        /** L' for an identity whose latents have that size. */
        int identityTokens(int height, int width) {
            return aggregation == null ? place.tokens(height, width) : aggregation.outTokens();
        }
    }

    /**
     * @param source keys {@code <layer>.eaa.to_k.weight}, {@code .to_v.weight [D, D]}, {@code .aggregate.weight [L', L]}
     *               (cross attention only; absent: no aggregation)
     * @throws WeightException when it is no adapter, was made for another model, or is not finite
     */
    public static EmbeddedAttentionAdapter load(WeightSource source, UNet unet, Device device) {
        return Weights.load(source, device, w -> new EmbeddedAttentionAdapter(source, unet, w));
    }

    private EmbeddedAttentionAdapter(WeightSource source, UNet unet, Weights w) {
        this.device = w.device();
        this.packer = w.packer();
        this.contextChannels = unet.config().contextChannels();
        Map<Site, UNet.AttentionLayer> places = unet.attentionLayers();
        Map<String, Site> expected = new LinkedHashMap<>();
        places.keySet().forEach(site -> expected.put(site.name(), site));
        TreeSet<String> named = new TreeSet<>();
        for (String name : source.names()) {
            int end = name.indexOf(".eaa.");
            if (end >= 0) {
                named.add(name.substring(0, end));
                if (!source.tensor(name).isFinite()) {
                    throw WeightException.notFinite(source.description(), source.tensor(name));
                }
            }
        }
        if (named.isEmpty()) {
            throw new WeightException(source.description() + " is " + FileKind.of(source) + ", not an Inv-Adapter, which has names like '"
                    + expected.keySet().iterator().next() + ".eaa.to_k.weight'");
        }
        for (String name : named) {
            Site site = expected.get(name);
            if (site == null) {
                throw new WeightException(source.description() + ": made for another model, which has an attention layer '"
                        + name + "'; this model has none of that name");
            }
            UNet.AttentionLayer place = places.get(site);
            int channels = place.channels();
            Weights layer = w.in(name).in("eaa");
            if (!layer.has("to_k.weight") || source.tensor(name + ".eaa.to_k.weight").shape().length != 2
                    || source.tensor(name + ".eaa.to_k.weight").shape()[0] != channels) {
                throw new WeightException(source.description() + ": made for another model: expected " + name
                        + ".eaa.to_k.weight of shape [" + channels + ", " + channels + "]");
            }
            Device.TokenMixer aggregation = null;
            if (layer.has("aggregate.weight")) {
                long[] shape = source.tensor(name + ".eaa.aggregate.weight").shape();
                if (shape.length != 2) {
                    throw new WeightException(source.description() + ": tensor '" + name + ".eaa.aggregate.weight' has "
                            + shape.length + " axes where [L', L] is expected");
                }
                aggregation = packer.tokenMixer(layer.tensor("aggregate.weight", (int) shape[0], (int) shape[1]));
            }
            layers.put(site, new Layer(place, layer.fused(channels, channels, "to_k", "to_v"), aggregation));
        }
        double version = number(source, "version", 1, 0);
        if (version != 1) {
            throw new WeightException(source.description() + ": an adapter file of version " + version + "; this engine reads version 1");
        }
        this.identityLatentSize = (int) number(source, "id_latent_size", fittingSize(unet.config().sampleSize()), 0);
        if (!fits(identityLatentSize, identityLatentSize)) {
            throw new WeightException(source.description() + ": made for another model: the aggregation matrices do not fit "
                    + "identities of " + identityLatentSize + " x " + identityLatentSize + " latents (metadata 'id_latent_size')");
        }
        this.defaultScale = number(source, "scale", 0.6, -MOST);
    }

    private static double number(WeightSource source, String key, double fallback, double least) {
        String text = source.metadata().get(key);
        try {
            double value = text == null ? fallback : Double.parseDouble(text);
            if (value >= least && value <= MOST) {
                return value;
            }
        } catch (NumberFormatException e) {
            // The same mistake.
        }
        throw new WeightException(source.description() + ": metadata '" + key + "' is '" + text + "'; expected a number"
                + (least < 0 ? "" : " that is not negative"));
    }

    /** The model's own size, or where the aggregation matrices are for another, that one; for files that do not say it. */
    private int fittingSize(int sampleSize) {
        return IntStream.concat(IntStream.of(sampleSize), IntStream.rangeClosed(1, MOST_LATENT_SIZE))
                .filter(size -> fits(size, size)).findFirst().orElse(sampleSize);
    }

    Device device() {
        return device;
    }

    /** Of a text of the model: S of {@code [S, contextChannels]}. */
    int tokens(float[] text) {
        return text.length / contextChannels;
    }

    /** Height and width of the identity's latents that the aggregation was trained for. */
    public int identityLatentSize() {
        return identityLatentSize;
    }

    /** The lambda the file recommends; a negative one leads away from the identity. */
    public double defaultScale() {
        return defaultScale;
    }

    /** Whether the aggregation matrices fit identities whose latents have that size. */
    boolean fits(int height, int width) {
        return layers.values().stream().allMatch(layer -> layer.fits(height, width));
    }

    /** Memory for the keys and values of every layer at one timestep, in the current scope. */
    public IdentityFeatures features(int identities, int height, int width) {
        Map<Site, int[]> shapes = new LinkedHashMap<>();
        layers.forEach((site, layer) -> shapes.put(site, new int[] {layer.identityTokens(height, width), 2 * layer.channels()}));
        return new IdentityFeatures(device, identities, shapes);
    }

    /** Elements that {@link #features} take for one identity. */
    public int featureElements(int height, int width) {
        return layers.values().stream().mapToInt(layer -> layer.identityTokens(height, width) * 2 * layer.channels()).sum();
    }

    /** For the identities' own pass: keeps K' and V' of every layer in {@code features}, in the rows from {@code first} on. */
    public AttentionHook record(IdentityFeatures features, int first) {
        return (site, input, into) -> {
            Layer layer = layers.get(site);
            if (layer != null) {
                try (Scope scope = device.scope()) {
                    device.copy(keyValue(layer, input), features.keyValue(site).rows(first, input.batch()));
                }
            }
        };
    }

    /**
     * Takes in what was recorded at the same timestep.
     *
     * @param rows   the identity of each batch row: see {@link Source}
     * @param scales lambda of each batch row: see {@link Source}
     */
    public AttentionHook inject(IdentityFeatures features, Tensor rows, Tensor scales, IdentityLayers which) {
        return (site, input, into) -> {
            if (layers.containsKey(site) && which.include(site)) {
                into.add(source(features.keyValue(site), rows, scales));
            }
        };
    }

    /**
     * For a pass with the identities among its rows: each layer makes K' and V' of those rows and attends to them at once.
     *
     * @param first      row of the identities
     * @param identities how many
     * @param keep       also gets K' and V', or {@code null}
     */
    AttentionHook together(int first, int identities, Tensor rows, Tensor scales, IdentityLayers which, IdentityFeatures keep) {
        return (site, input, into) -> {
            Layer layer = layers.get(site);
            if (layer == null || keep == null && !which.include(site)) {
                return;
            }
            Tensor keyValue = keyValue(layer, input.rows(first, identities));
            if (keep != null) {
                device.copy(keyValue, keep.keyValue(site));
            }
            if (which.include(site)) {
                into.add(source(keyValue, rows, scales));
            }
        };
    }

    /** {@code [K', V'] = F_id [W'k, W'v]}, or of the aggregated {@code A F_id}: {@code [I, L', 2 D]}. */
    private Tensor keyValue(Layer layer, Tensor features) {
        Tensor aggregated = layer.aggregation == null ? features : device.mixTokens(features, layer.aggregation);
        return device.linear(aggregated, layer.keyValue, Activation.NONE, null);
    }

    private static Source source(Tensor keyValue, Tensor rows, Tensor scales) {
        int channels = keyValue.channels() / 2;
        return new Source(keyValue.columns(0, channels), keyValue.columns(channels, channels), rows, scales);
    }

    /** Frees the weights. What was recorded with them is closed before. */
    @Override
    public void close() {
        packer.close();
    }
}
