package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Optional;

/**
 * The names of kohya's trainer, which LyCORIS has taken over: {@code lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight}.
 * All points of a layer's name have become underscores.
 */
final class KohyaNames {

    /** What stands in front of a layer, and the part that it means. None begins with another. */
    private static final Map<String, String> PARTS = Map.of(
            "lora_unet_", "unet",
            "lycoris_", "unet",
            "lora_te_", "text_encoder",
            "lora_te1_", "text_encoder",
            "lora_te2_", "text_encoder_2",
            "lora_transformer_", "transformer");

    private KohyaNames() {
    }

    static Optional<LoraKey> key(String tensor) {
        int point = tensor.indexOf('.');
        return PARTS.entrySet().stream().filter(part -> tensor.startsWith(part.getKey()) && point > part.getKey().length()).findFirst()
                .flatMap(part -> LoraFactors.of(tensor.substring(point + 1)).map(factor ->
                        new LoraKey(part.getValue(), tensor.substring(part.getKey().length(), point), factor)));
    }
}
