package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What the network of a single file predicts, as far as the file, or a configuration of the original code beside it, says. */
final class Prediction {

    /** That of Stable Diffusion 1.x as it was published. */
    static final String EPSILON = "epsilon";
    static final String VELOCITY = "v_prediction";

    /**
     * Why a network that was trained down to pure noise (Lin et al. 2023) is refused: programs differ in the timesteps they sample such
     * a file at, and a folder says them.
     */
    static final String NO_TIMESTEPS = "it was trained to zero terminal SNR, and a single file does not say at which timesteps that is"
            + " sampled; convert it to a diffusers folder whose scheduler_config.json has rescale_betas_zero_snr and timestep_spacing";

    /** Keys of metadata with the name of what is predicted. */
    private static final List<String> NAMED = List.of("modelspec.prediction_type", "modelspec.predict_key");

    private Prediction() {
    }

    /**
     * A {@code prediction_type} of diffusers. A tensor {@code v_pred}, usually empty, is how the programs that made the checkpoint
     * mark it.
     *
     * @throws WeightException when its sources say different things, or that it was trained to zero terminal SNR
     */
    static String of(WeightSource file, OriginalConfig beside) {
        String name = file.description();
        if (file.contains("ztsnr")) {
            throw new WeightException(name + ": its tensor 'ztsnr' says that " + NO_TIMESTEPS);
        }
        if (FileMetadata.flag(file, "ss_zero_terminal_snr").orElse(false)) {
            throw new WeightException(name + ": its metadata 'ss_zero_terminal_snr' says that " + NO_TIMESTEPS);
        }
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
        beside.parameterization().ifPresent(value -> said.put(value.where(), known(value.asString(), value.where())));
        Map.Entry<String, String> first = said.isEmpty() ? Map.entry("", EPSILON) : said.entrySet().iterator().next();
        said.forEach((source, type) -> {
            if (!type.equals(first.getValue())) {
                throw new WeightException(first.getKey() + " says that the network predicts " + first.getValue() + ", but " + source + " says "
                        + type);
            }
        });
        return first.getValue();
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
