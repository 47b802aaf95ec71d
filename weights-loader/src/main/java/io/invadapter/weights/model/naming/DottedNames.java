package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Optional;

/**
 * The names of those who keep the points of a layer's name: diffusers ({@code unet.….to_q.lora.down.weight}, in the text encoder
 * {@code lora_linear_layer}), PEFT ({@code unet.….to_q.lora_A.weight}, in a folder of its own behind {@code base_model.model.}) and
 * ComfyUI ({@code diffusion_model.input_blocks.1.1.proj_in.lora_up.weight}).
 */
final class DottedNames {

    /** @param layer without the part */
    record Place(String part, String layer) {
    }

    private static final String PEFT = "base_model.model.";
    /** What stands in front of a layer, and the part that it means. None begins with another. */
    private static final Map<String, String> PARTS = Map.of(
            "unet.", "unet",
            "diffusion_model.", "unet",
            "model.diffusion_model.", "unet",
            "text_encoder.", "text_encoder",
            "text_encoders.clip_l.transformer.", "text_encoder",
            "text_encoder_2.", "text_encoder_2",
            "text_encoders.clip_g.transformer.", "text_encoder_2",
            "transformer.", "transformer");

    private DottedNames() {
    }

    static Optional<LoraKey> key(String tensor) {
        // A factor's name has points too; the longest that is one counts.
        for (int point = tensor.indexOf('.'); point >= 0; point = tensor.indexOf('.', point + 1)) {
            Optional<String> factor = LoraFactors.of(tensor.substring(point + 1));
            if (factor.isPresent()) {
                Place place = place(tensor.substring(0, point));
                return Optional.of(new LoraKey(place.part, place.layer, factor.get()));
            }
        }
        return Optional.empty();
    }

    /** Where a layer is; without a part it is the UNet, except for what only a text encoder has. */
    static Place place(String name) {
        String layer = name.startsWith(PEFT) ? name.substring(PEFT.length()) : name;
        for (Map.Entry<String, String> part : PARTS.entrySet()) {
            if (layer.startsWith(part.getKey())) {
                String rest = layer.substring(part.getKey().length());
                return new Place(part.getValue(), rest.startsWith(PEFT) ? rest.substring(PEFT.length()) : rest);
            }
        }
        return new Place(layer.startsWith("text_model.") || layer.startsWith("encoder.layers.") ? "text_encoder" : "unet", layer);
    }
}
