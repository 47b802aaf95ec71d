package io.invadapter.engine.unet;

import io.invadapter.engine.nn.Weights;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The attention of the UNet: a feature map as tokens through transformer blocks of self attention, cross attention to the
 * text and a gated feed-forward, added to the map (diffusers' {@code Transformer2DModel}).
 */
final class SpatialTransformer {
    /** Of the group norm in front; the ResNet blocks use another. */
    private static final float GROUP_NORM_EPSILON = 1e-6f;
    private static final float LAYER_NORM_EPSILON = 1e-5f;

    /**
     * Maps of the input's size that {@link #forward} holds at once: in the first block's feed-forward two of the transformer, the
     * results of both attentions, four of the gated half and the result.
     */
    static final int LEAST_MAPS = 9;

    private final Device device;
    private final int level;
    private final int groups;
    private final Device.Norm norm;
    private final Device.Linear projectionIn;
    private final Device.Linear projectionOut;
    private final List<Block> blocks = new ArrayList<>();

    /** @param level how often the latents were halved before it */
    SpatialTransformer(Weights w, int level, int channels, int heads, int depth, int contextChannels, int groups) {
        this.device = w.device();
        this.level = level;
        this.groups = groups;
        this.norm = w.norm("norm", channels);
        this.projectionIn = w.linear("proj_in", channels, channels);
        for (int i = 0; i < depth; i++) {
            blocks.add(new Block(w.in("transformer_blocks").in("" + i), new Site(w.name(), i, Site.Kind.SELF),
                    new Site(w.name(), i, Site.Kind.CROSS), channels, heads, contextChannels));
        }
        this.projectionOut = w.linear("proj_out", channels, channels);
    }

    /** Adds the attention layers. */
    void addLayers(Map<Site, UNet.AttentionLayer> layers) {
        for (Block block : blocks) {
            layers.put(block.self, new UNet.AttentionLayer(block.channels, level));
            layers.put(block.cross, new UNet.AttentionLayer(block.channels, level));
        }
    }

    /** Adds memory for the keys and values of texts, {@code [rows, tokens, 2 D]} for each cross attention. */
    void addTexts(int rows, int tokens, Map<Site, Tensor> layers) {
        for (Block block : blocks) {
            layers.put(block.cross, device.allocate(device.precision().type(), rows, tokens, 2 * block.channels));
        }
    }

    /** Makes keys and values of the texts. */
    void project(TextFeatures text) {
        for (Block block : blocks) {
            device.linearInto(text.contexts(), block.crossKeyValue, text.keyValue(block.cross));
        }
    }

    /** @param x {@code [B, H, W, C]}; @param input of the pass */
    Tensor forward(Tensor x, UNetInput input) {
        try (Scope scope = device.scope()) {
            Tensor h = device.groupNorm(x, norm, groups, GROUP_NORM_EPSILON, false).tokens();
            h = device.linear(h, projectionIn, Activation.NONE, null);
            for (Block block : blocks) {
                h = block.forward(h, input);
            }
            return scope.keep(device.linear(h, projectionOut, Activation.NONE, x.tokens())).map(x.size(1), x.size(2));
        }
    }

    /** {@code x += attn1(norm1 x); x += attn2(norm2 x, text); x += ff(norm3 x)} */
    private static final class Block {
        private final Device device;
        private final int channels;
        private final int heads;
        private final Site self;
        private final Site cross;
        private final Device.Norm norm1;
        private final Device.Linear selfQueryKeyValue;
        private final Device.Linear selfOut;
        private final Device.Norm norm2;
        private final Device.Linear crossQuery;
        private final Device.Linear crossKeyValue;
        private final Device.Linear crossOut;
        private final Device.GatedLinear feedForwardIn;
        private final Device.Linear feedForwardOut;

        Block(Weights w, Site self, Site cross, int channels, int heads, int contextChannels) {
            this.device = w.device();
            this.self = self;
            this.cross = cross;
            this.channels = channels;
            this.heads = heads;
            Weights attn1 = w.in("attn1");
            Weights attn2 = w.in("attn2");
            this.norm1 = w.norm("norm1", channels);
            this.selfQueryKeyValue = attn1.fused(channels, channels, "to_q", "to_k", "to_v");
            this.selfOut = attn1.linear("to_out.0", channels, channels);
            this.norm2 = w.norm("norm2", channels);
            this.crossQuery = attn2.fused(channels, channels, "to_q");
            this.crossKeyValue = attn2.fused(contextChannels, channels, "to_k", "to_v");
            this.crossOut = attn2.linear("to_out.0", channels, channels);
            int inner = 4 * channels;
            this.feedForwardIn = w.packer().gatedLinear(w.tensor("ff.net.0.proj.weight", 2 * inner, channels),
                    w.tensor("ff.net.0.proj.bias", 2 * inner), new Device.LayerNorm(w.tensor("norm3.weight", channels),
                            w.tensor("norm3.bias", channels), LAYER_NORM_EPSILON));
            this.feedForwardOut = w.linear("ff.net.2", inner, channels);
        }

        Tensor forward(Tensor x, UNetInput input) {
            try (Scope scope = device.scope()) {
                Tensor h = selfAttention(x, input);
                h = crossAttention(h, input);
                return scope.keep(feedForward(h));
            }
        }

        /** Inv-Adapter's equations 2 and 3: {@code K = F Wk, V = F Wv} and the identity's own K', V'. */
        private Tensor selfAttention(Tensor x, UNetInput input) {
            try (Scope scope = device.scope()) {
                Tensor features = device.layerNorm(x, norm1, LAYER_NORM_EPSILON);
                Tensor qkv = device.linear(features, selfQueryKeyValue, Activation.NONE, null);
                Source own = Source.of(qkv.columns(channels, channels), qkv.columns(2 * channels, channels));
                Tensor out = device.attention(qkv.columns(0, channels), sources(self, features, own, input), heads, false);
                return scope.keep(device.linear(out, selfOut, Activation.NONE, x));
            }
        }

        /** Inv-Adapter's equations 4 and 5: {@code K = c Wk, V = c Wv} and K', V' of the aggregated identity. */
        private Tensor crossAttention(Tensor x, UNetInput input) {
            try (Scope scope = device.scope()) {
                Tensor features = device.layerNorm(x, norm2, LAYER_NORM_EPSILON);
                Tensor query = device.linear(features, crossQuery, Activation.NONE, null);
                Tensor kv = input.text().keyValue(cross);
                Source own = Source.of(kv.columns(0, channels), kv.columns(channels, channels));
                Tensor out = device.attention(query, sources(cross, features, own, input), heads, false);
                return scope.keep(device.linear(out, crossOut, Activation.NONE, x));
            }
        }

        private static List<Source> sources(Site site, Tensor features, Source own, UNetInput input) {
            List<Source> sources = new ArrayList<>(List.of(own));
            input.hooks().forEach(hook -> hook.attend(site, features, sources));
            return sources;
        }

        private Tensor feedForward(Tensor x) {
            try (Scope scope = device.scope()) {
                Tensor h = device.gatedLinear(x, feedForwardIn);
                return scope.keep(device.linear(h, feedForwardOut, Activation.NONE, x));
            }
        }
    }
}
