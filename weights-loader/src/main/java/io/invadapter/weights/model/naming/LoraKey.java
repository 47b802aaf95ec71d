package io.invadapter.weights.model.naming;

import java.util.Optional;

/**
 * What the name of a tensor in a LoRA says.
 *
 * @param part   of the model, as diffusers names it: {@code unet}, {@code text_encoder}, {@code text_encoder_2}, {@code transformer}
 * @param layer  in the spelling of the file, without the part; {@link LayerSpellings} knows which layer that is
 * @param factor what the tensor is of the layer's change, in one of {@link LoraFactors}' names
 */
public record LoraKey(String part, String layer, String factor) {

    /** Three times as long as any; looking for factors in a name takes the square of its length. */
    private static final int LONGEST = 500;

    /** The key of a tensor's name in whichever naming, empty when it is not of a LoRA. */
    public static Optional<LoraKey> of(String tensor) {
        if (tensor.length() > LONGEST) {
            return Optional.empty();
        }
        return KohyaNames.key(tensor).or(() -> ProcessorNames.key(tensor)).or(() -> DottedNames.key(tensor));
    }
}
