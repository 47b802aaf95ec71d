package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What programs call the factors that a layer's change is made of, behind the layer's name. */
final class LoraFactors {

    /** PEFT puts the name of the adapter in between where it saves several. */
    private static final Pattern PEFT = Pattern.compile("lora_([AB])(\\.[\\w-]+)?\\.weight");

    private static final Map<String, String> NAMES = Map.ofEntries(
            Map.entry("lora_down.weight", "down"), Map.entry("lora_up.weight", "up"), Map.entry("lora_mid.weight", "mid"),
            Map.entry("lora.down.weight", "down"), Map.entry("lora.up.weight", "up"),
            Map.entry("lora_linear_layer.down.weight", "down"), Map.entry("lora_linear_layer.up.weight", "up"),
            Map.entry("lora_magnitude_vector", "magnitude"), Map.entry("lora_magnitude_vector.weight", "magnitude"),
            Map.entry("alpha", "alpha"), Map.entry("dora_scale", "dora_scale"),
            Map.entry("hada_w1_a", "hada_w1_a"), Map.entry("hada_w1_b", "hada_w1_b"), Map.entry("hada_t1", "hada_t1"),
            Map.entry("hada_w2_a", "hada_w2_a"), Map.entry("hada_w2_b", "hada_w2_b"), Map.entry("hada_t2", "hada_t2"),
            Map.entry("lokr_w1", "lokr_w1"), Map.entry("lokr_w1_a", "lokr_w1_a"), Map.entry("lokr_w1_b", "lokr_w1_b"),
            Map.entry("lokr_w2", "lokr_w2"), Map.entry("lokr_w2_a", "lokr_w2_a"), Map.entry("lokr_w2_b", "lokr_w2_b"),
            Map.entry("lokr_t2", "lokr_t2"),
            Map.entry("diff", "diff"), Map.entry("w_norm", "diff"), Map.entry("diff_b", "diff_b"), Map.entry("b_norm", "diff_b"));

    private LoraFactors() {
    }

    static Optional<String> of(String written) {
        Matcher peft = PEFT.matcher(written);
        return peft.matches() ? Optional.of(peft.group(1).equals("A") ? "down" : "up") : Optional.ofNullable(NAMES.get(written));
    }
}
