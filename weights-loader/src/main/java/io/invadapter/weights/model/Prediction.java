package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** What the network of a single file predicts, as far as the file, or a configuration of the original code beside it, says. */
final class Prediction {

    /** That of Stable Diffusion 1.x as it was published. */
    static final String EPSILON = "epsilon";
    static final String VELOCITY = "v_prediction";

    /** Keys of metadata with the name of what is predicted. */
    private static final List<String> NAMED = List.of("modelspec.prediction_type", "modelspec.predict_key");

    private static final double VELOCITY_DEVIATION = 0.09;

    private Prediction() {
    }

    /**
     * A {@code prediction_type} of diffusers, where anything says it. A tensor {@code v_pred}, usually empty, is how the programs that
     * made the checkpoint mark it.
     *
     * @throws WeightException when its sources say different things
     */
    static Optional<String> said(WeightSource file, OriginalConfig beside) {
        String name = file.description();
        Map<String, String> said = new LinkedHashMap<>();
        if (file.contains("v_pred")) {
            said.put(name + ": its tensor 'v_pred'", VELOCITY);
        }
        for (String key : NAMED) {
            if (file.metadata().containsKey(key)) {
                String source = name + ": its metadata '" + key + "'";
                said.put(source, known(file.metadata().get(key), source));
            }
        }
        FileMetadata.flag(file, "ss_v_parameterization").ifPresent(velocity ->
                said.put(name + ": its metadata 'ss_v_parameterization'", velocity ? VELOCITY : EPSILON));
        FileMetadata.velocityByName(file).ifPresent(velocity ->
                said.put(name + ": its metadata '" + FileMetadata.ARCHITECTURE + "'", velocity ? VELOCITY : EPSILON));
        beside.parameterization().ifPresent(value -> said.put(value.where(), known(value.asString(), value.where())));
        Optional<Map.Entry<String, String>> first = said.entrySet().stream().findFirst();
        said.forEach((source, type) -> {
            if (!type.equals(first.get().getValue())) {
                throw new WeightException(first.get().getKey() + " says that the network predicts " + first.get().getValue() + ", but "
                        + source + " says " + type);
            }
        });
        return first.map(Map.Entry::getValue);
    }

    /**
     * The configuration of a network that was trained down to pure noise (zero terminal SNR, Lin et al. 2023), where anything says that
     * it was; else {@code scheduler}. Programs differ in the timesteps they sample such a file at: taken are those of the paper, which
     * begin at the pure noise.
     *
     * @param scheduler with what the network predicts
     * @throws WeightException when that is noise, of which nothing could be taken away at its first step
     */
    static JsonValue withTerminalSnr(JsonValue scheduler, WeightSource file, OriginalConfig beside, List<String> notices) {
        String name = file.description();
        Optional<String> said = file.contains("ztsnr") ? Optional.of(name + ": its tensor 'ztsnr'")
                : FileMetadata.flag(file, "ss_zero_terminal_snr").orElse(false) ? Optional.of(name + ": its metadata 'ss_zero_terminal_snr'")
                : beside.zeroTerminalSnr().map(JsonValue::where);
        if (said.isEmpty()) {
            return scheduler;
        }
        if (scheduler.get("prediction_type").asString().equals(EPSILON)) {
            throw new WeightException(said.get() + " says that it was trained to zero terminal SNR, where no network predicts noise; expected"
                    + " beside it a tensor 'v_pred', or a .yaml with parameterization: \"v\"");
        }
        notices.add(said.get() + " says that it was trained to zero terminal SNR; its timesteps are taken as \"trailing\"; a diffusers folder"
                + " says others by the timestep_spacing of its scheduler_config.json");
        return scheduler.with("rescale_betas_zero_snr", true).with("timestep_spacing", "trailing");
    }

    /**
     * What a network of Stable Diffusion 2.x predicts that nothing is said about: its 512-base and 768-v models have the same names and
     * shapes. What training did to one bias is ComfyUI's sign of it: the deviation of the last attention's first norm is above 0.09 in
     * networks that predict velocity. Inpainting models predict noise.
     *
     * @param unet    under canonical names
     * @param config  of it
     * @param notices told what was taken, and why
     */
    static String guess(WeightSource unet, JsonValue config, List<String> notices) {
        String type = EPSILON;
        String reason = "as in every inpainting model";
        if (config.get("in_channels").asInt() == config.get("out_channels").asInt()) {
            String sign = "up_blocks." + (config.get("block_out_channels").asList().size() - 1) + ".attentions."
                    + config.get("layers_per_block").asInt() + ".transformer_blocks.0.norm1.bias";
            double deviation = deviation(unet.tensor(sign).toFloats());
            type = deviation > VELOCITY_DEVIATION ? VELOCITY : EPSILON;
            reason = String.format(Locale.ROOT, "because '%s' deviates by %.3f, and by more than %s where velocity is predicted", sign, deviation,
                    VELOCITY_DEVIATION);
        }
        notices.add(unet.description() + ": nothing says whether it predicts noise or velocity; " + type + " is taken, " + reason
                + "; a .yaml beside the file says it by parameterization: \"v\" or \"eps\"");
        return type;
    }

    private static double deviation(float[] values) {
        double mean = 0;
        for (float value : values) {
            mean += value / (double) values.length;
        }
        double squares = 0;
        for (float value : values) {
            squares += (value - mean) * (value - mean);
        }
        return Math.sqrt(squares / Math.max(1, values.length));
    }

    private static String known(String said, String where) {
        return switch (said) {
            case "eps", "epsilon" -> EPSILON;
            case "v", "v_prediction" -> VELOCITY;
            case "x0", "sample" -> "sample";
            default -> throw new WeightException(where + " is " + Json.quote(said) + " where epsilon, v or sample is expected");
        };
    }
}
