package io.invadapter.engine.sampling;

import io.invadapter.engine.nn.Config;
import io.invadapter.weights.json.JsonValue;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a {@code scheduler_config.json} says about its own sampler. An option that is not computed makes no model useless: its nearest is
 * taken, and told.
 */
final class SamplerOptions {
    private final Config config;
    private final Consumer<String> notices;

    SamplerOptions(Config config, Consumer<String> notices) {
        this.config = config;
        this.notices = notices;
    }

    int integer(String key, int fallback) {
        return config.integer(key, fallback);
    }

    double number(String key, double fallback) {
        return config.number(key, fallback);
    }

    boolean flag(String key, boolean fallback) {
        return config.flag(key, fallback);
    }

    boolean is(String key, String value) {
        return config.optional(key).filter(found -> found.equals(JsonValue.of(value, key))).isPresent();
    }

    /** Tells when a key has another value than one of those that make no difference here; the first is what is computed. */
    void computes(String key, Object... values) {
        List<String> accepted = Stream.of(values).map(value -> JsonValue.of(value, key).toString()).collect(Collectors.toList());
        config.optional(key).filter(found -> !accepted.contains(found.toString())).ifPresent(found ->
                notices.accept(found.where() + " is " + found + ", which this engine does not compute: it samples as if it were " + accepted.getFirst()));
    }

    /** The noise levels asked for, the default being those of the timesteps. */
    Sigmas sigmas() {
        computes("use_beta_sigmas", false);
        computes("use_lu_lambdas", false);
        computes("sigma_min", (Object) null);
        computes("sigma_max", (Object) null);
        return flag("use_karras_sigmas", false) ? Sigmas.KARRAS : flag("use_exponential_sigmas", false) ? Sigmas.EXPONENTIAL : Sigmas.NORMAL;
    }
}
