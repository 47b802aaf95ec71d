package io.invadapter.weights.model.naming;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The names of kohya's trainer, which LyCORIS has taken over: {@code lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight}.
 * All points of a layer's name have become underscores.
 */
final class KohyaNames {

    private static final Map<String, String> PARTS = new LinkedHashMap<>();

    static {
        PARTS.put("lora_unet_", "unet");
        PARTS.put("lora_te_", "text_encoder");
        PARTS.put("lora_te1_", "text_encoder");
        PARTS.put("lora_te2_", "text_encoder_2");
        PARTS.put("lora_transformer_", "transformer");
        PARTS.put("lycoris_", "unet");
    }

    private KohyaNames() {
    }

    static Optional<LoraKey> key(String tensor) {
        int point = tensor.indexOf('.');
        return PARTS.entrySet().stream().filter(part -> tensor.startsWith(part.getKey()) && point > part.getKey().length()).findFirst()
                .flatMap(part -> LoraFactors.of(tensor.substring(point + 1)).map(factor ->
                        new LoraKey(part.getValue(), tensor.substring(part.getKey().length(), point), factor)));
    }
}
