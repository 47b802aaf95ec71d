package io.invadapter.engine.text;

import io.invadapter.engine.nn.Weights;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;

/**
 * CLIP's text transformer (Radford et al. 2021): causal self attention over 77 tokens. Stable Diffusion 1.x reads its last
 * hidden state after the final norm.
 */
public final class ClipTextEncoder implements AutoCloseable {
    private final Device device;
    private final Packer packer;
    private final ClipTextConfig config;
    private final Device.Table tokenTable;
    private final Device.Table positionTable;
    private final List<Layer> layers = new ArrayList<>();
    private final Device.Norm finalNorm;

    /**
     * Packs the weights for the device.
     *
     * @param source tensors without the {@code text_model.} prefix
     * @throws io.invadapter.weights.WeightException when one is missing or has another shape than {@code config} asks for
     */
    public static ClipTextEncoder load(ClipTextConfig config, WeightSource source, Device device) {
        return Weights.load(source, device, w -> new ClipTextEncoder(config, w));
    }

    private ClipTextEncoder(ClipTextConfig config, Weights w) {
        this.config = config;
        this.device = w.device();
        this.packer = w.packer();
        tokenTable = packer.table(w.tensor("embeddings.token_embedding.weight", config.vocabularySize(), config.channels()));
        positionTable = packer.table(w.tensor("embeddings.position_embedding.weight", config.maxTokens(), config.channels()));
        for (int i = 0; i < config.layers(); i++) {
            layers.add(new Layer(w.in("encoder.layers").in("" + i), config));
        }
        finalNorm = w.norm("final_layer_norm", config.channels());
    }

    public ClipTextConfig config() {
        return config;
    }

    /** The last hidden state {@code [ids.length, channels]} of one text, of {@link ClipTextConfig#maxTokens} ids at most. */
    public float[] encode(int[] ids) {
        try (Scope scope = device.scope()) {
            Tensor x = device.embed(tokenTable, positionTable, new int[][] {ids});
            for (Layer layer : layers) {
                x = layer.forward(x);
            }
            return device.download(device.layerNorm(x, finalNorm, config.normEpsilon()));
        }
    }

    /** Frees the weights. What was recorded with them is closed before. */
    @Override
    public void close() {
        packer.close();
    }

    private static final class Layer {
        private final Device device;
        private final ClipTextConfig config;
        private final Device.Norm norm1;
        private final Device.Linear queryKeyValue;
        private final Device.Linear out;
        private final Device.Norm norm2;
        private final Device.Linear feedForward1;
        private final Device.Linear feedForward2;

        Layer(Weights w, ClipTextConfig config) {
            this.device = w.device();
            this.config = config;
            int channels = config.channels();
            this.norm1 = w.norm("layer_norm1", channels);
            this.queryKeyValue = w.in("self_attn").fusedWithBias(channels, channels, "q_proj", "k_proj", "v_proj");
            this.out = w.linear("self_attn.out_proj", channels, channels);
            this.norm2 = w.norm("layer_norm2", channels);
            this.feedForward1 = w.linear("mlp.fc1", channels, config.inner());
            this.feedForward2 = w.linear("mlp.fc2", config.inner(), channels);
        }

        Tensor forward(Tensor x) {
            int channels = config.channels();
            float epsilon = config.normEpsilon();
            try (Scope scope = device.scope()) {
                Tensor qkv = device.linear(device.layerNorm(x, norm1, epsilon), queryKeyValue, Activation.NONE, null);
                Tensor attended = device.attention(qkv.columns(0, channels), List.of(Source.of(qkv.columns(channels, channels),
                        qkv.columns(2 * channels, channels))), config.heads(), true);
                Tensor h = device.linear(attended, out, Activation.NONE, x);
                Tensor inner = device.linear(device.layerNorm(h, norm2, epsilon), feedForward1, config.activation(), null);
                return scope.keep(device.linear(inner, feedForward2, Activation.NONE, h));
            }
        }
    }
}
