package io.invadapter.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every key that diffusers and transformers put into the configurations of Stable Diffusion 1.x and 2.x ({@code configs.json},
 * with their defaults) is computed with, refused, or makes no difference; none is passed over.
 */
public class ConfigurationsTest {

    private static final JsonValue DEFAULTS = resource("configs.json");

    @TempDir
    static Path folder;

    private record Change(String key, Object value) {
    }

    /**
     * The rule of each key of one class.
     *
     * @param base     over the defaults, so that there is a model to compute
     * @param computed keys that make another model, with a value that does
     * @param refused  keys of which only the default is computed, with a value that is not; all others make no difference
     */
    private record Rules(Map<String, Object> base, List<Change> computed, List<Change> refused,
            BiFunction<JsonValue, Consumer<String>, Object> reader) {
    }

    private static final List<Change> UNET_COMPUTED = changes("sample_size", 96, "sample_size", List.of(64, 96), "in_channels", 5, "out_channels", 5,
            "flip_sin_to_cos", false, "freq_shift", 1, "down_block_types", Collections.nCopies(4, "DownBlock2D"),
            "up_block_types", Collections.nCopies(4, "UpBlock2D"), "block_out_channels", List.of(320, 640, 1280, 640), "layers_per_block", 3,
            "norm_num_groups", 16, "norm_eps", 1e-6, "cross_attention_dim", 768, "transformer_layers_per_block", 2,
            "attention_head_dim", List.of(5, 10, 20, 20), "time_cond_proj_dim", 256);
    private static final List<Change> UNET_REFUSED = changes("center_input_sample", true, "mid_block_type", null, "mid_block_type", "UNetMidBlock2D",
            "only_cross_attention", true, "downsample_padding", 0, "mid_block_scale_factor", 2, "act_fn", "gelu", "norm_num_groups", null,
            "reverse_transformer_layers_per_block", List.of(1, 1, 1, 1), "encoder_hid_dim", 4, "encoder_hid_dim_type", "text_proj",
            "num_attention_heads", 8, "dual_cross_attention", true, "class_embed_type", "timestep", "addition_embed_type", "text",
            "num_class_embeds", 3, "resnet_time_scale_shift", "scale_shift", "time_embedding_type", "fourier", "time_embedding_dim", 64,
            "time_embedding_act_fn", "silu", "timestep_post_act", "silu", "time_cond_proj_dim", 255, "time_cond_proj_dim", 2, "conv_in_kernel", 5, "conv_out_kernel", 5,
            "attention_type", "gated", "class_embeddings_concat", true, "cross_attention_dim", List.of(768, 768, 768, 1024));
    private static final List<Change> VAE_COMPUTED = changes("block_out_channels", List.of(96), "layers_per_block", 2, "latent_channels", 8,
            "norm_num_groups", 16, "scaling_factor", 0.13025, "use_quant_conv", false, "use_post_quant_conv", false, "mid_block_add_attention", false,
            "force_upcast", false);
    private static final List<Change> VAE_REFUSED = changes("in_channels", 1, "out_channels", 4, "down_block_types", List.of("AttnDownEncoderBlock2D"),
            "up_block_types", List.of("AttnUpDecoderBlock2D"), "act_fn", "mish", "shift_factor", 0.1, "latents_mean", List.of(0.1),
            "latents_std", List.of(1.0));
    private static final List<Change> TEXT_COMPUTED = changes("vocab_size", 49409, "hidden_size", 1024, "intermediate_size", 4096,
            "num_hidden_layers", 23, "num_attention_heads", 16, "max_position_embeddings", 248, "hidden_act", "gelu", "layer_norm_eps", 1e-6);
    private static final List<Change> TEXT_REFUSED = changes("use_attention_mask", true, "hidden_act", "gelu_new");
    private static final List<Change> TOKENIZER_COMPUTED = changes("bos_token", "<|endoftext|>", "eos_token", "<|startoftext|>", "pad_token", "!",
            "model_max_length", 40, "max_len", 40, "unk_token", "!", "additional_special_tokens", List.of("a"), "sep_token", "a", "cls_token", Map.of("content", "a"),
            "mask_token", "a", "model_specific_special_tokens", Map.of("image_token", "a"));
    private static final List<Change> TOKENIZER_REFUSED = changes("padding_side", "left", "truncation_side", "left", "split_special_tokens", true,
            "tokenizer_class", "T5Tokenizer");
    private static final List<Change> SCHEDULER_COMPUTED = changes("num_train_timesteps", 500, "beta_start", 0.0002, "beta_end", 0.03,
            "beta_schedule", "squaredcos_cap_v2", "beta_schedule", "scaled_linear", "trained_betas", Collections.nCopies(1000, 0.01), "set_alpha_to_one", false,
            "prediction_type", "v_prediction", "timestep_spacing", "trailing", "timestep_spacing", "linspace", "rescale_betas_zero_snr", true);
    private static final List<Change> SCHEDULER_REFUSED = changes("thresholding", true, "prediction_type", "flow_prediction", "beta_schedule", "sigmoid",
            "variance_type", "learned_range", "timestep_type", "continuous", "use_flow_sigmas", true, "use_dynamic_shifting", true, "shift_terminal", 0.1,
            "timestep_spacing", "karras");

    static Stream<String> classes() {
        return DEFAULTS.asObject().keySet().stream();
    }

    private static Rules rules(String name) {
        return switch (name) {
            case "UNet2DConditionModel" -> new Rules(Map.of(), UNET_COMPUTED, UNET_REFUSED, UNetConfig::of);
            case "AutoencoderKL" -> new Rules(Map.of(), VAE_COMPUTED, VAE_REFUSED, VaeConfig::of);
            case "CLIPTextConfig" -> new Rules(Map.of(), TEXT_COMPUTED, TEXT_REFUSED, ClipTextConfig::of);
            case "CLIPTokenizer" -> new Rules(Map.of(), TOKENIZER_COMPUTED, TOKENIZER_REFUSED, ConfigurationsTest::tokenizer);
            default -> new Rules(Map.of("_class_name", name, "timestep_spacing", "leading", "set_alpha_to_one", true), SCHEDULER_COMPUTED, SCHEDULER_REFUSED,
                    (config, notices) -> new Ddim().walk(new NoiseSchedule(config, notices), 7, 1).steps().stream()
                            .map(step -> List.of(step.timestep(), step.alphaFrom(), step.alphaTo(), Arrays.deepToString(step.move()))).toList());
        };
    }

    @ParameterizedTest
    @MethodSource("classes")
    void everyKeyHasARule(String name) {
        Rules rules = rules(name);
        JsonValue defaults = DEFAULTS.get(name);
        List<String> notices = new ArrayList<>();
        Object expected = rules.reader.apply(with(defaults, rules.base), notices::add);
        assertEquals(List.of(), notices, "the defaults need no notice");

        Set<String> left = new LinkedHashSet<>(defaults.asObject().keySet());
        for (Change change : rules.refused) {
            JsonValue config = with(defaults, rules.base, change.key, change.value);
            String message = assertThrows(WeightException.class, () -> rules.reader.apply(config, notices::add), change.key).getMessage();
            assertTrue(message.contains(change.key) && message.contains("expected"), message);
            left.remove(change.key);
        }
        for (Change change : rules.computed) {
            if (defaults.asObject().containsKey(change.key)) {
                JsonValue config = with(defaults, rules.base, change.key, change.value);
                assertNotEquals(seen(expected), seen(rules.reader.apply(config, notices::add)), change.key);
                left.remove(change.key);
            }
        }
        for (String key : left) {
            Object value = other(defaults.get(key));
            assertEquals(seen(expected), seen(rules.reader.apply(with(defaults, rules.base, key, value), notices::add)), key);
        }
        assertEquals(List.of(), notices, "keys without a rule");
    }

    /** Some other value of the same kind. */
    private static Object other(JsonValue value) {
        if (value.isBoolean()) {
            return !value.asBoolean();
        }
        if (value.isNumber()) {
            return Double.isInfinite(value.asDouble()) ? (Object) (-5.1) : (Object) (value.asDouble() + 1);
        }
        return value.isString() ? "another" : value.isList() ? List.of(3) : value.isObject() ? Map.of("a", 1) : 2;
    }

    /** What a configuration comes to, comparable. */
    private static Object seen(Object result) {
        if (!(result instanceof Record)) {
            return result instanceof List<?> list ? list.stream().map(ConfigurationsTest::array).toList() : result;
        }
        List<Object> values = new ArrayList<>();
        for (RecordComponent component : result.getClass().getRecordComponents()) {
            try {
                values.add(array(component.getAccessor().invoke(result)));
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        }
        return values;
    }

    private static Object array(Object value) {
        return Arrays.deepToString(new Object[] {value});
    }

    private static Object tokenizer(JsonValue config, Consumer<String> notices) {
        try {
            Path tokenizer = Files.createTempDirectory(folder, "tokenizer");
            List<String> symbols = new ArrayList<>(List.of("<|startoftext|>", "<|endoftext|>"));
            for (int c = '!'; c <= '~'; c++) {
                symbols.add(Character.toString(c));
                symbols.add(Character.toString(c) + "</w>");
            }
            Map<String, Object> vocabulary = new LinkedHashMap<>();
            symbols.forEach(symbol -> vocabulary.put(symbol, vocabulary.size()));
            Files.writeString(tokenizer.resolve("vocab.json"), JsonValue.of(vocabulary, "").toString());
            Files.writeString(tokenizer.resolve("merges.txt"), "");
            Files.writeString(tokenizer.resolve("tokenizer_config.json"), config.toString());
            return List.of(ClipTokenizer.fromFolder(tokenizer, notices).encode("bad cät").ids());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void aKeyThatIsNotKnownIsToldOf() {
        List<String> notices = new ArrayList<>();
        VaeConfig.of(Json.parse("{\"new_key\": 3, \"new_null\": null, \"_note\": \"x\"}".getBytes(), "config.json"), notices::add);
        assertEquals(List.of("config.json: new_key is 3, which this engine does not know: the pictures may not be what was meant"), notices);
    }

    @Test
    void configurationsAsPublishedAreReadWithoutANotice() {
        List<String> notices = new ArrayList<>();
        JsonValue published = resource("published.json");
        for (JsonValue model : published.asObject().values()) {
            UNetConfig.of(model.get("unet"), notices::add);
            VaeConfig.of(model.get("vae"), notices::add);
            ClipTextConfig.of(model.get("text_encoder"), notices::add);
            new NoiseSchedule(model.get("scheduler"), notices::add);
            tokenizer(model.get("tokenizer"), notices::add);
        }
        assertEquals(List.of(), notices);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "`{\"only_cross_attention\": [false, false, false, false]}`",
        "`{\"cross_attention_dim\": [1280, 1280, 1280, 1280]}`",
        "`{\"act_fn\": \"swish\"}`",
        "`{\"time_embedding_dim\": 1280}`",
        "`{\"mid_block_scale_factor\": 1.0}`",
        "`{\"layers_per_block\": [2, 2, 2, 2], \"transformer_layers_per_block\": [1, 1, 1, 1], \"attention_head_dim\": [8, 8, 8, 8]}`",
        "`{\"sample_size\": [64, 64]}`"})
    void otherWaysOfSayingTheSame(String json) {
        assertEquals(seen(UNetConfig.of(Json.parse("{}"), notice -> { })), seen(UNetConfig.of(Json.parse(json), notice -> { })));
    }

    @Test
    void refusalsNameFileKeyValueAndWhatIsComputed() {
        assertRefusal("config.json: mid_block_type is null, which this engine does not compute; expected \"UNetMidBlock2DCrossAttn\"",
                () -> UNetConfig.of(Json.parse("{\"mid_block_type\": null}".getBytes(), "config.json"), notice -> { }));
        assertRefusal("config.json: cross_attention_dim is [768, 1024], which this engine does not compute; expected the same number for all blocks",
                () -> UNetConfig.of(JsonValue.of(Map.of("cross_attention_dim", List.of(768, 1024)), "config.json"), notice -> { }));
        assertRefusal("config.json: down_block_types[1] is \"AttnDownEncoderBlock2D\", which this engine does not compute; expected \"DownEncoderBlock2D\"",
                () -> VaeConfig.of(JsonValue.of(Map.of("block_out_channels", List.of(32, 32), "down_block_types",
                        List.of("DownEncoderBlock2D", "AttnDownEncoderBlock2D")), "config.json"), notice -> { }));
        assertRefusal("config.json: latents_mean is " + "[1" + ", 1".repeat(26) + "…, which this engine does not compute; expected null",
                () -> VaeConfig.of(JsonValue.of(Map.of("latents_mean", Collections.nCopies(1000, 1)), "config.json"), notice -> { }));
        assertRefusal("config.json: scaling_factor is NaN where a finite number is expected",
                () -> VaeConfig.of(Json.parse("{\"scaling_factor\": NaN}".getBytes(), "config.json"), notice -> { }));
        assertRefusal("config.json: hidden_act is \"gelu_new\", which this engine does not compute; expected \"quick_gelu\" or \"gelu\"",
                () -> ClipTextConfig.of(JsonValue.of(Map.of("hidden_act", "gelu_new"), "config.json"), notice -> { }));
        for (String scheduler : List.of("TCDScheduler", "EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler", "CMStochasticIterativeScheduler")) {
            assertRefusal("scheduler_config.json: _class_name is \"" + scheduler + "\", which this engine does not compute; expected a scheduler that goes"
                    + " through Stable Diffusion's own noise, such as \"DDIMScheduler\" or \"PNDMScheduler\"",
                    () -> new NoiseSchedule(JsonValue.of(Map.of("_class_name", scheduler), "scheduler_config.json"), notice -> { }));
        }
    }

    private static void assertRefusal(String message, Runnable reading) {
        assertEquals(message, assertThrows(WeightException.class, reading::run).getMessage());
    }

    private static List<Change> changes(Object... keysAndValues) {
        List<Change> changes = new ArrayList<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            changes.add(new Change((String) keysAndValues[i], keysAndValues[i + 1]));
        }
        return changes;
    }

    private static JsonValue with(JsonValue defaults, Map<String, Object> changes) {
        Map<String, Object> members = new LinkedHashMap<>();
        defaults.asObject().forEach((key, value) -> members.put(key, plain(value)));
        members.putAll(changes);
        return JsonValue.of(members, "config.json");
    }

    private static JsonValue with(JsonValue defaults, Map<String, Object> base, String key, Object value) {
        Map<String, Object> changes = new LinkedHashMap<>(base);
        changes.put(key, value);
        return with(defaults, changes);
    }

    private static Object plain(JsonValue value) {
        if (value.isObject()) {
            return value.asObject().entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, entry -> plain(entry.getValue())));
        }
        if (value.isList()) {
            return value.asList().stream().map(ConfigurationsTest::plain).toList();
        }
        if (value.isNumber()) {
            double number = value.asDouble();
            return number == Math.rint(number) && !Double.isInfinite(number) && !value.toString().contains(".") ? (Object) value.asLong() : (Object) number;
        }
        return value.isNull() ? null : value.isBoolean() ? (Object) value.asBoolean() : value.asString();
    }

    public static JsonValue resource(String name) {
        try (InputStream in = ConfigurationsTest.class.getResourceAsStream("configs/" + name)) {
            return Json.parse(in.readAllBytes(), name);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
