package io.invadapter.engine.text;

import io.invadapter.engine.nn.Network;
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
 * CLIP's text transformer (Radford et al. 2021): causal self attention over 77 tokens. Stable Diffusion reads the hidden state after
 * the last layer, or after one before it, and the final norm.
 */
public final class ClipTextEncoder implements Network {
    static final String TOKENS = "embeddings.token_embedding.weight";
    private static final String PROJECTION = "text_projection.weight";

    private final Device device;
    private final Packer packer;
    private final ClipTextConfig config;
    private final Device.Table tokenTable;
    private final Device.Table positionTable;
    private final List<Layer> layers = new ArrayList<>();
    private final Device.Norm finalNorm;
    /** {@code null} where the weights have none. */
    private final Device.Linear projection;

    /**
     * Packs the weights for the device.
     *
     * @param source tensors without the {@code text_model.} prefix
     * @throws io.invadapter.weights.WeightException when one is missing or has another shape than {@code config} asks for
     */
    public static ClipTextEncoder load(ClipTextConfig config, WeightSource source, Device device) {
        if (config.addedTokens() == 0) {
            return Weights.load(source, device, w -> new ClipTextEncoder(config, w));
        }
        try (ExtendedVocabulary whole = new ExtendedVocabulary(source, config)) {
            return Weights.load(whole, device, w -> new ClipTextEncoder(config, w));
        }
    }

    private ClipTextEncoder(ClipTextConfig config, Weights w) {
        this.config = config;
        this.device = w.device();
        this.packer = w.packer();
        tokenTable = packer.table(w.tensor(TOKENS, config.vocabularySize() + config.addedTokens(), config.channels()));
        positionTable = packer.table(w.tensor("embeddings.position_embedding.weight", config.maxTokens(), config.channels()));
        for (int i = 0; i < config.layers(); i++) {
            layers.add(new Layer(w.in("encoder.layers").in("" + i), config));
        }
        finalNorm = w.norm("final_layer_norm", config.channels());
        projection = w.has(PROJECTION) ? packer.linear(w.matrixOf(PROJECTION, config.channels()), null) : null;
    }

    public ClipTextConfig config() {
        return config;
    }

    /** The model's own hidden state {@code [ids.length, channels]} of one text, of {@link ClipTextConfig#maxTokens} ids at most. */
    public float[] encode(int[] ids) {
        return encode(ids, config.clipSkip());
    }

    /**
     * The hidden state {@code [ids.length, channels]} after a layer and the final norm, as stable-diffusion-webui counts them: diffusers'
     * {@code clip_skip} is 1 less.
     *
     * @param clipSkip 1: after the last layer; 2: after the one before it; 0: the model's own
     */
    public float[] encode(int[] ids, int clipSkip) {
        try (Scope scope = device.scope()) {
            return device.download(states(ids, clipSkip == 0 ? config.clipSkip() : clipSkip));
        }
    }

    /**
     * What stands for the whole of one text: the last hidden state at its end token, projected {@code [P]} where the weights have a
     * {@code text_projection}, else {@code [channels]}.
     *
     * @param end the id of that token, of which the first counts; the ids hold one
     */
    public float[] pooled(int[] ids, int end) {
        int at = 0;
        while (ids[at] != end) {
            at++;
        }
        try (Scope scope = device.scope()) {
            Tensor state = states(ids, 1).reshape(ids.length, config.channels()).rows(at, 1);
            return device.download(projection == null ? state : device.linear(state, projection, Activation.NONE, null));
        }
    }

    private Tensor states(int[] ids, int clipSkip) {
        Tensor x = device.embed(tokenTable, positionTable, new int[][] {ids});
        for (Layer layer : layers.subList(0, layers.size() - clipSkip + 1)) {
            x = layer.forward(x);
        }
        return device.layerNorm(x, finalNorm, config.normEpsilon());
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
