package io.invadapter.weights.model.naming;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Every way in which LoRAs write the layers of one part of a model: as diffusers does, as the original code does, with underscores in
 * place of points, and the text encoder's with or without {@code text_model.}. Points and underscores both occur in the names of
 * layers, so what stands in a LoRA is looked up among what the model has.
 */
public final class LayerSpellings {

    private final Map<String, String> layers = new HashMap<>();

    /** @param canonical names of the layers, without {@code .weight}; @param part {@code unet} or {@code text_encoder} */
    public LayerSpellings(String part, Collection<String> canonical) {
        OriginalUNetNames original = new OriginalUNetNames(canonical);
        for (String layer : canonical) {
            add(layer, layer);
            if (part.equals("unet")) {
                add(original.of(layer), layer);
            } else {
                add("text_model." + layer, layer);
            }
        }
    }

    private void add(String spelling, String layer) {
        layers.put(spelling, layer);
        layers.put(spelling.replace('.', '_'), layer);
    }

    /** The layer that a LoRA writes so, if the model has it. */
    public Optional<String> layer(String spelling) {
        return Optional.ofNullable(layers.get(spelling));
    }
}
