package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.json.Yaml;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The {@code .yaml} (or {@code .yml}) of the original latent-diffusion code that may lie beside a single file, under its name. What it says about the
 * noise, the heads, the scales and the size is computed with; what the weights show must be what they show; what the original code
 * computes with and this project does not is refused. All else in it (training, data, names of classes) makes no difference, and what
 * it does not say is that of Stable Diffusion 1.x or 2.x, whichever it is.
 */
final class OriginalConfig {

    private static final Pattern ZERO_TERMINAL_SNR = Pattern.compile(".*(zero|terminal|zt).*snr.*");

    private final JsonValue params;
    private final JsonValue unet;
    private final JsonValue vae;
    private final JsonValue vaeLevels;
    private final JsonValue condition;
    private final JsonValue text;

    private OriginalConfig(JsonValue file) {
        JsonValue model = section(file, "model");
        this.params = file.find("model").isPresent() ? section(model, "params") : file;
        params.find("network_config").or(() -> params.find("denoiser_config")).ifPresent(value -> {
            throw new WeightException(value.where() + " is of Stable Diffusion XL and newer, not of Stable Diffusion 1.x or 2.x");
        });
        this.unet = section(section(params, "unet_config"), "params");
        JsonValue firstStage = section(params, "first_stage_config");
        this.vae = section(firstStage, "params");
        this.vaeLevels = section(vae, "ddconfig");
        this.condition = section(params, "cond_stage_config");
        this.text = section(condition, "params");
        requireClass(firstStage, "AutoencoderKL", name -> name.startsWith("AutoencoderKL"));
        requireClass(condition, "FrozenCLIPEmbedder", name -> name.contains("CLIPEmbedder"));
        refuseOtherModels();
        requireNoise(model);
    }

    /** What lies beside a checkpoint, or else beside the file that a link leads to; nothing is said when nothing does. */
    static OriginalConfig beside(Path checkpoint) {
        List<Path> names = Stream.of(checkpoint, real(checkpoint)).flatMap(place -> Stream.of(".yaml", ".yml").map(ending ->
                place.resolveSibling(place.getFileName().toString().replaceFirst("\\.[^.]*$", "") + ending))).toList();
        Path file = names.stream().filter(Files::exists).findFirst().orElse(names.getFirst());
        JsonValue said = Files.exists(file) ? Yaml.read(file) : JsonValue.of(null, file.toString());
        boolean isOne = said.isObject() && (said.find("model").filter(JsonValue::isObject).isPresent()
                || List.of("parameterization", "linear_start", "unet_config").stream().anyMatch(key -> said.find(key).isPresent()));
        return new OriginalConfig(isOne ? said : JsonValue.of(Map.of(), file.toString()));
    }

    private static Path real(Path checkpoint) {
        try {
            return checkpoint.toRealPath();
        } catch (IOException e) {
            throw new WeightException(checkpoint + " cannot be read: " + e.getMessage(), e);
        }
    }

    /** Empty when there is none. */
    private static JsonValue section(JsonValue parent, String key) {
        return parent.find(key).orElseGet(() -> JsonValue.of(Map.of(), parent.where()));
    }

    private static void requireClass(JsonValue section, String expected, Predicate<String> fits) {
        section.find("target").filter(target -> {
            String name = target.asString();
            return !fits.test(name.substring(name.lastIndexOf('.') + 1));
        }).ifPresent(target -> {
            throw refused(target, "a class such as " + expected);
        });
    }

    private void refuseOtherModels() {
        only(params, "conditioning_key", "crossattn", "hybrid");
        only(params, "scale_by_std", false);
        only(unet, "use_spatial_transformer", true);
        only(unet, "dims", 2);
        only(unet, "conv_resample", true);
        for (String key : List.of("use_scale_shift_norm", "resblock_updown", "disable_middle_self_attn")) {
            only(unet, key, false);
        }
        for (String key : List.of("num_classes", "n_embed")) {
            only(unet, key);
        }
        unet.find("disable_self_attentions").filter(value -> !value.isList() || value.asList().stream().anyMatch(JsonValue::asBoolean))
                .ifPresent(value -> {
                    throw refused(value, "none");
                });
        only(vaeLevels, "double_z", true);
        only(vaeLevels, "resamp_with_conv", true);
        only(vaeLevels, "use_linear_attn", false);
        only(vaeLevels, "tanh_out", false);
        only(vaeLevels, "give_pre_end", false);
        only(vaeLevels, "attn_type", "vanilla", "vanilla-xformers");
        only(text, "layer", "last", "penultimate");
        for (JsonValue section : List.of(params, text)) {
            // Programs count from 0 or from 1.
            only(section, "clip_skip", 0, 1);
        }
    }

    private void requireNoise(JsonValue model) {
        only(params, "given_betas");
        only(params, "cosine_s", 0.008);
        zeroTerminalSnr().filter(value -> !same(value, true)).ifPresent(value -> {
            throw refused(value, "true or false");
        });
        Optional<JsonValue> start = params.find("linear_start");
        Optional<JsonValue> end = params.find("linear_end");
        // A whole configuration without them: programs take different numbers.
        if (start.isEmpty() != end.isEmpty() || start.isEmpty() && model.find("target").isPresent()) {
            throw new WeightException(params.where() + " has no " + (start.isEmpty() ? "linear_start" : "linear_end")
                    + ", so the noise is not known; expected linear_start and linear_end, in Stable Diffusion 1.x 0.00085 and 0.012");
        }
        if (start.isPresent() && !(start.get().asDouble() > 0 && start.get().asDouble() < end.get().asDouble() && end.get().asDouble() < 1)) {
            throw new WeightException(params.where() + ": linear_start is " + start.get() + " and linear_end " + end.get()
                    + "; expected 0 < linear_start < linear_end < 1");
        }
        params.find("timesteps").filter(value -> value.asInt() < 2 || value.asInt() > 100_000).ifPresent(value -> {
            throw refused(value, "a number from 2 to 100000");
        });
        params.find("scale_factor").filter(value -> !(value.asDouble() > 0 && value.asDouble() < Double.POSITIVE_INFINITY)).ifPresent(value -> {
            throw refused(value, "a positive number");
        });
        params.find("image_size").filter(value -> value.asInt() < 1 || value.asInt() > 512).ifPresent(value -> {
            throw refused(value, "the side of the latents, 64 for pictures of 512 pixels");
        });
    }

    /** Refuses all but {@code null} and some values, as in {@link JsonValue#of}. */
    private static void only(JsonValue section, String key, Object... supported) {
        section.find(key).filter(value -> List.of(supported).stream().noneMatch(accepted -> same(value, accepted))).ifPresent(value -> {
            throw refused(value, supported.length == 0 ? "null" : String.join(" or ", List.of(supported).stream().map(String::valueOf).toList()));
        });
    }

    private static boolean same(JsonValue value, Object accepted) {
        return value.isNumber() && accepted instanceof Number number ? value.asDouble() == number.doubleValue()
                : value.equals(JsonValue.of(accepted, ""));
    }

    private static WeightException refused(JsonValue value, String expected) {
        return new WeightException(value.where() + " is " + value + ", which is not computed; expected " + expected);
    }

    /** Refuses a value that is not what the weights show. */
    private static void shown(JsonValue section, String key, Object inWeights) {
        section.find(key).filter(value -> !same(value, inWeights)).ifPresent(value -> {
            throw contradiction(value, JsonValue.of(inWeights, ""));
        });
    }

    private static WeightException contradiction(JsonValue value, Object inWeights) {
        return new WeightException(value.where() + " is " + value + ", but the weights beside it say " + inWeights);
    }

    // --- the parts --------------------------------------------------------------------------------------------------

    /** What the network predicts, if it is said. */
    Optional<JsonValue> parameterization() {
        return params.find("parameterization");
    }

    /** What says that the network was trained to zero terminal SNR, under whatever name a program gives that. */
    Optional<JsonValue> zeroTerminalSnr() {
        return params.asObject().entrySet().stream().filter(entry -> ZERO_TERMINAL_SNR.matcher(entry.getKey()).matches()).map(Map.Entry::getValue)
                .filter(value -> !value.isNull() && !same(value, false)).findFirst();
    }

    /** Whether the UNet is meant as averaged by training, where the file holds both. */
    boolean takesAveragedWeights() {
        return params.find("use_ema").filter(value -> same(value, true)).isPresent();
    }

    /** @param inferred from the weights */
    JsonValue scheduler(JsonValue inferred) {
        JsonValue config = inferred;
        if (params.find("linear_start").isPresent()) {
            config = config.with("beta_start", params.get("linear_start").asDouble()).with("beta_end", params.get("linear_end").asDouble());
        }
        Optional<JsonValue> timesteps = params.find("timesteps");
        if (timesteps.isPresent()) {
            config = config.with("num_train_timesteps", timesteps.get().asInt());
        }
        Optional<JsonValue> schedule = params.find("beta_schedule");
        return schedule.isEmpty() ? config : config.with("beta_schedule", switch (schedule.get().asString()) {
            // What the original code calls linear is so in its square root.
            case "linear" -> "scaled_linear";
            case "sqrt_linear" -> "linear";
            case "cosine" -> "squaredcos_cap_v2";
            default -> throw refused(schedule.get(), "linear, sqrt_linear or cosine");
        });
    }

    /** @param inferred from the weights */
    JsonValue unet(JsonValue inferred) {
        List<Long> channels = inferred.get("block_out_channels").asList().stream().map(JsonValue::asLong).toList();
        List<JsonValue> types = inferred.get("down_block_types").asList();
        int depth = inferred.get("transformer_layers_per_block").asInt();
        boolean inpainting = inferred.get("in_channels").asLong() > inferred.get("out_channels").asLong();
        shown(params, "conditioning_key", inpainting ? "hybrid" : "crossattn");
        shown(unet, "in_channels", inferred.get("in_channels").asLong());
        shown(unet, "out_channels", inferred.get("out_channels").asLong());
        shown(params, "channels", inferred.get("out_channels").asLong());
        showsChannels(unet, "model_channels", "channel_mult", channels);
        showsForAll(unet, "num_res_blocks", inferred.get("layers_per_block").asLong());
        showsForAll(unet, "context_dim", inferred.get("cross_attention_dim").asLong());
        shown(unet, "use_linear_in_transformer", inferred.get("use_linear_projection").asBoolean());
        unet.find("attention_resolutions").ifPresent(value -> {
            List<Long> shrunk = value.asList().stream().map(JsonValue::asLong).toList();
            for (int level = 0; level < channels.size(); level++) {
                if (shrunk.contains(1L << level) != types.get(level).asString().equals("CrossAttnDownBlock2D")) {
                    throw contradiction(value, "otherwise at " + (1L << level));
                }
            }
        });
        unet.find("transformer_depth").ifPresent(value -> {
            List<JsonValue> depths = value.isList() ? value.asList() : List.of(value);
            for (int level = 0; level < depths.size(); level++) {
                boolean attends = level >= types.size() || types.get(level).asString().equals("CrossAttnDownBlock2D");
                if (attends && depths.get(level).asInt() != depth) {
                    throw contradiction(value, depth);
                }
            }
        });
        JsonValue config = inferred;
        Optional<JsonValue> side = params.find("image_size");
        if (side.isPresent()) {
            config = config.with("sample_size", side.get().asInt());
        }
        return heads(config, channels);
    }

    /** The number of heads, which nothing in the weights shows. */
    private JsonValue heads(JsonValue config, List<Long> channels) {
        Optional<JsonValue> size = unet.find("num_head_channels").filter(value -> value.asInt() != -1);
        Optional<JsonValue> count = unet.find("num_heads").filter(value -> value.asInt() != -1);
        JsonValue said = size.or(() -> count).orElse(null);
        if (said == null) {
            return config;
        }
        long number = said.asInt();
        if (number < 1 || channels.stream().anyMatch(c -> c % number != 0)) {
            throw refused(said, "a number that divides each of " + channels + " channels");
        }
        // By diffusers' definition this is the number of heads, not their size.
        return config.with("attention_head_dim", size.isPresent() ? channels.stream().map(c -> c / number).toList() : number);
    }

    /** @param inferred from the weights */
    JsonValue vae(JsonValue inferred) {
        List<Long> channels = inferred.get("block_out_channels").asList().stream().map(JsonValue::asLong).toList();
        List<JsonValue> types = inferred.get("down_block_types").asList();
        long latent = inferred.get("latent_channels").asLong();
        shown(vae, "embed_dim", latent);
        shown(vaeLevels, "z_channels", latent);
        shown(vaeLevels, "in_channels", inferred.get("in_channels").asLong());
        shown(vaeLevels, "out_ch", inferred.get("out_channels").asLong());
        showsChannels(vaeLevels, "ch", "ch_mult", channels);
        shown(vaeLevels, "num_res_blocks", inferred.get("layers_per_block").asLong());
        vaeLevels.find("attn_resolutions").ifPresent(value -> {
            List<Long> sides = value.asList().stream().map(JsonValue::asLong).toList();
            for (int level = 0; level < channels.size(); level++) {
                boolean attends = !sides.isEmpty() && sides.contains(vaeLevels.get("resolution").asLong() >> level);
                if (attends != types.get(level).asString().startsWith("Attn")) {
                    throw contradiction(value, "otherwise at level " + level);
                }
            }
        });
        Optional<JsonValue> factor = params.find("scale_factor");
        return factor.isEmpty() ? inferred : inferred.with("scaling_factor", factor.get().asDouble());
    }

    /** Whether OpenCLIP's last block is run, which Stable Diffusion 2.x does not. */
    boolean runsLastBlock() {
        return text.find("layer").filter(layer -> same(layer, "last")).isPresent();
    }

    /**
     * @param inferred from the weights
     * @param openClip whether it has OpenCLIP's names
     */
    void checkTextEncoder(JsonValue inferred, boolean openClip) {
        shown(text, "max_length", inferred.get("max_position_embeddings").asLong());
        condition.find("target").filter(target -> target.asString().contains("OpenCLIP") != openClip).ifPresent(target -> {
            throw contradiction(target, openClip ? "FrozenOpenCLIPEmbedder" : "FrozenCLIPEmbedder");
        });
        if (!openClip) {
            only(text, "layer", "last");
        }
    }

    private static void showsChannels(JsonValue section, String base, String factors, List<Long> channels) {
        section.find(base).filter(value -> section.find(factors).isPresent()).ifPresent(value -> {
            List<Long> said = section.get(factors).asList().stream().map(factor -> factor.asLong() * value.asInt()).toList();
            if (!said.equals(channels)) {
                throw new WeightException(section.get(factors).where() + " is " + section.get(factors) + " and " + base + " is " + value
                        + ", but the weights beside it say " + channels + " channels");
            }
        });
    }

    private static void showsForAll(JsonValue section, String key, long inWeights) {
        section.find(key).ifPresent(value -> {
            if ((value.isList() ? value.asList() : List.of(value)).stream().anyMatch(entry -> !same(entry, inWeights))) {
                throw contradiction(value, inWeights);
            }
        });
    }
}
