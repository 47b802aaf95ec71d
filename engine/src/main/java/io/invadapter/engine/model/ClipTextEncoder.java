package io.invadapter.engine.model;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.JsonValue;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;

/**
 * CLIP's text transformer (Radford et al. 2021): causal self attention over 77 tokens. Stable Diffusion 1.x reads its last
 * hidden state after the final norm.
 */
public final class ClipTextEncoder {
    private final Device device;
    private final int channels;
    private final int maxTokens;
    private final int vocabularySize;
    private final float epsilon;
    private final Device.Table tokenTable;
    private final Device.Table positionTable;
    private final List<Layer> layers = new ArrayList<>();
    private final Device.Norm finalNorm;

    /**
     * @param config {@code text_encoder/config.json}
     * @param source tensors without the {@code text_model.} prefix
     */
    public ClipTextEncoder(JsonValue config, WeightSource source, Device device) {
        this.device = device;
        this.channels = config.get("hidden_size").asInt();
        this.maxTokens = Config.integer(config, "max_position_embeddings", 77);
        this.vocabularySize = config.get("vocab_size").asInt();
        this.epsilon = Config.number(config, "layer_norm_eps", 1e-5);
        Config.require(config, "hidden_act", "quick_gelu", "gelu");
        Activation activation = config.find("hidden_act").map(JsonValue::asString).orElse("quick_gelu").equals("gelu")
                ? Activation.GELU : Activation.QUICK_GELU;
        int heads = config.get("num_attention_heads").asInt();
        int depth = config.get("num_hidden_layers").asInt();
        int inner = config.get("intermediate_size").asInt();
        Config.positive(config, "a size", channels, heads, depth, inner, maxTokens, vocabularySize);
        if (channels % heads != 0) {
            throw new WeightException(config.where() + ": " + channels + " channels cannot be divided into " + heads + " heads");
        }
        Weights w = new Weights(source, device);
        tokenTable = device.table(w.tensor("embeddings.token_embedding.weight", vocabularySize, channels));
        positionTable = device.table(w.tensor("embeddings.position_embedding.weight", maxTokens, channels));
        for (int i = 0; i < depth; i++) {
            layers.add(new Layer(w.in("encoder.layers").in("" + i), channels, heads, inner, activation, epsilon));
        }
        finalNorm = w.norm("final_layer_norm", channels);
    }

    public int channels() {
        return channels;
    }

    public int maxTokens() {
        return maxTokens;
    }

    public int vocabularySize() {
        return vocabularySize;
    }

    /** The last hidden state {@code [ids.length, channels]} of one text. */
    public float[] encode(int[] ids) {
        try (Scope scope = device.scope()) {
            Tensor x = device.embed(tokenTable, positionTable, new int[][] {ids});
            for (Layer layer : layers) {
                x = layer.forward(x);
            }
            return device.download(device.layerNorm(x, finalNorm, epsilon));
        }
    }

    private static final class Layer {
        private final Device device;
        private final int channels;
        private final int heads;
        private final float epsilon;
        private final Activation activation;
        private final Device.Norm norm1;
        private final Device.Linear queryKeyValue;
        private final Device.Linear out;
        private final Device.Norm norm2;
        private final Device.Linear feedForward1;
        private final Device.Linear feedForward2;

        Layer(Weights w, int channels, int heads, int inner, Activation activation, float epsilon) {
            this.device = w.device();
            this.channels = channels;
            this.heads = heads;
            this.epsilon = epsilon;
            this.activation = activation;
            this.norm1 = w.norm("layer_norm1", channels);
            this.queryKeyValue = w.in("self_attn").fusedWithBias(channels, channels, "q_proj", "k_proj", "v_proj");
            this.out = w.linear("self_attn.out_proj", channels, channels);
            this.norm2 = w.norm("layer_norm2", channels);
            this.feedForward1 = w.linear("mlp.fc1", channels, inner);
            this.feedForward2 = w.linear("mlp.fc2", inner, channels);
        }

        Tensor forward(Tensor x) {
            try (Scope scope = device.scope()) {
                Tensor qkv = device.linear(device.layerNorm(x, norm1, epsilon), queryKeyValue, Activation.NONE, null);
                Tensor attended = device.attention(qkv.columns(0, channels), qkv.columns(channels, channels),
                        qkv.columns(2 * channels, channels), heads, true, null);
                Tensor h = device.linear(attended, out, Activation.NONE, x);
                Tensor inner = device.linear(device.layerNorm(h, norm2, epsilon), feedForward1, activation, null);
                return scope.keep(device.linear(inner, feedForward2, Activation.NONE, h));
            }
        }
    }
}
