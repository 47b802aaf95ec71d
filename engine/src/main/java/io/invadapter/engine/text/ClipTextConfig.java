package io.invadapter.engine.text;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.nn.Config;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * The structure of a {@link ClipTextEncoder}, from {@code text_encoder/config.json}.
 *
 * @param inner      channels between the two layers of a feed-forward
 * @param maxTokens  positions there are
 * @param clipSkip   the layer whose states are a text, counted from the last, which is 1
 * @param inversions whose vectors follow the embeddings of the vocabulary
 */
public record ClipTextConfig(int channels, int inner, int layers, int heads, int maxTokens, int vocabularySize, Activation activation,
        float normEpsilon, int clipSkip, List<TextualInversion> inversions) {

    public ClipTextConfig {
        Objects.requireNonNull(activation, "activation");
        inversions = List.copyOf(inversions);
    }

    /** Whose texts are the states after the last layer. */
    public ClipTextConfig(int channels, int inner, int layers, int heads, int maxTokens, int vocabularySize, Activation activation, float normEpsilon) {
        this(channels, inner, layers, heads, maxTokens, vocabularySize, activation, normEpsilon, LAST, List.of());
    }

    private static final int LAST = 1;
    /** What may be anything, and why. */
    private static final Map<String, String> HARMLESS = harmless();

    private static Map<String, String> harmless() {
        Map<String, String> reasons = new HashMap<>();
        List.of("attention_dropout", "dropout", "initializer_range", "initializer_factor").forEach(key -> reasons.put(key, "of training only"));
        List.of("projection_dim", "logit_scale_init_value").forEach(key -> reasons.put(key, "for comparing texts with pictures"));
        List.of("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id")
                .forEach(key -> reasons.put(key, "the tokens come from the tokenizer; the hidden state of none is treated apart"));
        List.of("dtype", "torch_dtype").forEach(key -> reasons.put(key, "shows in the weights; the device decides how it computes"));
        List.of("architectures", "transformers_version", "name_or_path", "model_type").forEach(key -> reasons.put(key, "what it is, not how"));
        List.of("return_dict", "output_hidden_states", "output_attentions", "use_cache", "torchscript", "use_bfloat16", "id2label", "label2id",
                "num_labels", "problem_type", "finetuning_task", "task_specific_params", "tokenizer_class", "prefix", "tie_word_embeddings",
                "chunk_size_feed_forward", "gradient_checkpointing")
                .forEach(key -> reasons.put(key, "how transformers hands over results, not what they are"));
        List.of("is_encoder_decoder", "is_decoder", "add_cross_attention", "cross_attention_hidden_size", "tie_encoder_decoder", "pruned_heads",
                "tf_legacy_loss")
                .forEach(key -> reasons.put(key, "of other kinds of models; CLIP's text encoder does not read it"));
        List.of("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature",
                "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
                "bad_words_ids", "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id",
                "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens")
                .forEach(key -> reasons.put(key, "of writing texts"));
        return Map.copyOf(reasons);
    }

    /** The same with textual inversions. */
    public ClipTextConfig with(List<TextualInversion> added) {
        return new ClipTextConfig(channels, inner, layers, heads, maxTokens, vocabularySize, activation, normEpsilon, clipSkip, added);
    }

    /**
     * @param layer of the text encoder, counted from the last; 0: the model's own
     * @throws InvalidRequestException when there is no such layer
     */
    public void requireClipSkip(int layer) {
        if (layer < 0 || layer > layers) {
            throw new InvalidRequestException("clip skip must be between 1 and " + layers + ", the layers of this model's text encoder, not " + layer);
        }
    }

    /** Numbers that agree only for texts of the same states: the ids, the vectors among them and, where it is not the model's own, the layer. */
    public int[] identification(int[] ids, int layer) {
        IntStream.Builder numbers = IntStream.builder();
        for (int id : ids) {
            numbers.add(id);
        }
        float[] vectors = new float[addedTokens() * channels];
        int end = 0;
        for (TextualInversion inversion : inversions) {
            System.arraycopy(inversion.vectors(), 0, vectors, end, inversion.vectors().length);
            end += inversion.vectors().length;
        }
        Arrays.stream(ids).map(id -> id - vocabularySize).filter(row -> row >= 0).distinct()
                .flatMap(row -> IntStream.range(row * channels, (row + 1) * channels)).map(i -> Float.floatToRawIntBits(vectors[i])).forEach(numbers::add);
        if (layer != 0 && layer != clipSkip) {
            numbers.add(layer);
        }
        return numbers.build().toArray();
    }

    /** Vectors of the textual inversions. */
    int addedTokens() {
        return inversions.stream().mapToInt(TextualInversion::count).sum();
    }

    /**
     * @param notices told of keys that are not known
     * @throws WeightException when the file describes a network that this engine does not compute
     */
    public static ClipTextConfig of(JsonValue file, Consumer<String> notices) {
        Config config = new Config(file);
        config.only("use_attention_mask", false);
        config.absent("quantization_config", "text_config");
        config.harmless(HARMLESS.keySet());
        String activation = config.oneOf("hidden_act", "quick_gelu", List.of("quick_gelu", "gelu"));
        ClipTextConfig result = new ClipTextConfig(config.integer("hidden_size", 512), config.integer("intermediate_size", 2048),
                config.integer("num_hidden_layers", 12), config.integer("num_attention_heads", 8),
                config.integer("max_position_embeddings", 77), config.integer("vocab_size", 49408),
                activation.equals("gelu") ? Activation.GELU : Activation.QUICK_GELU, (float) config.number("layer_norm_eps", 1e-5),
                config.integer("clip_skip", LAST), List.of());
        config.positive("a size", result.channels, result.inner, result.layers, result.heads, result.maxTokens, result.vocabularySize, result.clipSkip);
        if (result.channels % result.heads != 0) {
            throw new WeightException(config.where() + ": " + result.channels + " channels cannot be divided into " + result.heads + " heads");
        }
        if (result.clipSkip > result.layers) {
            throw new WeightException(config.where() + ": a clip skip of " + result.clipSkip + " for " + result.layers + " layers");
        }
        config.report(notices);
        return result;
    }
}
