package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** What programs write into the header of a single file about the model in it: {@code modelspec.…} and, by kohya's trainer, {@code ss_…}. */
final class FileMetadata {

    static final String ARCHITECTURE = "modelspec.architecture";

    /** {@code stable-diffusion-v1}, and names of it that others use; behind a slash comes what the file is if it is no model. */
    private static final Pattern STABLE_DIFFUSION_1 = Pattern.compile("(?i)(stable-?diffusion|sd)[-_ ]?v?1([-._]?[0-9])?([-_](base|ema|pruned|emaonly))*");
    private static final Pattern STABLE_DIFFUSION_2 = Pattern.compile("(?i)(stable-?diffusion|sd)[-_ ]?v?2([-._]?[0-9])?([-_](512|768|v|base|ema|pruned|emaonly))*");
    private static final Pattern INPAINTING = Pattern.compile("(?i)[-_/]inpaint(ing)?");
    private static final Pattern OTHER_THAN_1 = Pattern.compile("(?i)sd_?v?[23].*|sdxl.*|flux.*|.*v_?2.*");
    private static final Pattern OTHER_THAN_2 = Pattern.compile("(?i)sd_?v?[13].*|sdxl.*|flux.*");

    private FileMetadata() {
    }

    /**
     * @param second whether the tensors are those of Stable Diffusion 2.x, else of 1.x
     * @throws WeightException when the header says that the file is of another kind
     */
    static void refuseOtherModels(WeightSource file, boolean second) {
        Pattern same = second ? STABLE_DIFFUSION_2 : STABLE_DIFFUSION_1;
        Pattern other = second ? OTHER_THAN_2 : OTHER_THAN_1;
        refuse(file, ARCHITECTURE, second, value -> !same.matcher(INPAINTING.matcher(value).replaceFirst("")).matches());
        refuse(file, "ss_base_model_version", second, value -> other.matcher(value).matches());
        if (flag(file, "ss_v2").filter(said -> said != second).isPresent()) {
            throw contradiction(file, "ss_v2", second);
        }
    }

    /** Whether the name of Stable Diffusion 2.x in the header is that of its models that predict velocity, if it says which. */
    static Optional<Boolean> velocityByName(WeightSource file) {
        return said(file, ARCHITECTURE).filter(value -> STABLE_DIFFUSION_2.matcher(value).matches()).map(value -> value.toLowerCase(Locale.ROOT))
                .filter(value -> value.contains("512") || value.contains("768")).map(value -> value.contains("768"));
    }

    private static void refuse(WeightSource file, String key, boolean second, Predicate<String> other) {
        said(file, key).filter(other).ifPresent(value -> {
            throw contradiction(file, key, second);
        });
    }

    /** What stands under a key; {@code None} and nothing at all are no statement. */
    private static Optional<String> said(WeightSource file, String key) {
        return Optional.ofNullable(file.metadata().get(key)).map(String::strip).filter(value -> !value.matches("(?i)|none|null"));
    }

    private static WeightException contradiction(WeightSource file, String key, boolean second) {
        return new WeightException(file.description() + ": its metadata '" + key + "' is " + Json.quote(file.metadata().get(key))
                + ", but its tensors are those of Stable Diffusion " + (second ? "2.x" : "1.x"));
    }

    /** The layer of the text encoder, counted from the last, whose states the network was trained with; 1 when nothing is said. */
    static int encoderLayer(WeightSource file) {
        return said(file, "modelspec.encoder_layer").or(() -> said(file, "ss_clip_skip")).filter(value -> value.matches("[0-9]{1,3}"))
                .map(Integer::valueOf).orElse(1);
    }

    /** @throws WeightException when what the key says is neither yes nor no */
    static Optional<Boolean> flag(WeightSource file, String key) {
        return said(file, key).map(value -> switch (value.toLowerCase(Locale.ROOT)) {
            case "true", "1" -> true;
            case "false", "0" -> false;
            default -> throw new WeightException(file.description() + ": its metadata '" + key + "' is " + Json.quote(value)
                    + " where True or False is expected");
        });
    }
}
