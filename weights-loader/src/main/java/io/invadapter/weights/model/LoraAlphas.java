package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The alphas of a LoRA's layers that are not tensors: PEFT has them in adapter_config.json, and newer diffusers the same in the header.
 * A change is multiplied by alpha / rank, or alpha / sqrt(rank) where {@code use_rslora} is said (Kalajdzievski 2023).
 */
final class LoraAlphas {

    /** Of files that say nothing: a layer's alpha is its rank. */
    static final LoraAlphas NONE = new LoraAlphas(null, "");

    private static final Pattern PLAIN = Pattern.compile("\\^?[\\w.]*\\$?");

    private final JsonValue config;
    private final String prefix;

    /** @param prefix of the keys in {@code config}: {@code unet.} where several parts are in one */
    LoraAlphas(JsonValue config, String prefix) {
        this.config = config;
        this.prefix = prefix;
        find("alpha_pattern").ifPresent(pattern -> pattern.asObject().forEach((layers, alpha) -> {
            if (!PLAIN.matcher(layers).matches()) {
                throw new WeightException(pattern.where() + " has the regular expression " + Json.quote(layers)
                        + " where the name of a layer, or the end of one, is expected");
            }
        }));
    }

    private Optional<JsonValue> find(String key) {
        return config == null ? Optional.empty() : config.find(prefix + key);
    }

    /** @param layer without the part, with its points */
    double of(String layer, int rank) {
        for (Map.Entry<String, JsonValue> pattern : find("alpha_pattern").map(JsonValue::asObject).orElse(Map.of()).entrySet()) {
            if (matches(pattern.getKey(), layer)) {
                return finite(pattern.getValue());
            }
        }
        return find("lora_alpha").map(LoraAlphas::finite).orElse((double) rank);
    }

    boolean byRoot() {
        return find("use_rslora").map(JsonValue::asBoolean).orElse(false);
    }

    private static double finite(JsonValue value) {
        if (!Double.isFinite(value.asDouble())) {
            throw new WeightException(value.where() + " is " + value + " where a number is expected");
        }
        return value.asDouble();
    }

    /** As PEFT: a pattern is the whole name or what comes behind one of its points. */
    private static boolean matches(String pattern, String layer) {
        String name = pattern.endsWith("$") ? pattern.substring(0, pattern.length() - 1) : pattern;
        return name.startsWith("^") ? layer.equals(name.substring(1)) : layer.equals(name) || layer.endsWith("." + name);
    }
}
