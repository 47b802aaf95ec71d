package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The names of the first diffusers, where a LoRA was an attention processor of its own:
 * {@code unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight}, at first without {@code unet.}, and
 * {@code text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight}.
 */
final class ProcessorNames {

    private static final Pattern NAME = Pattern.compile("(.+?)\\.(processor\\.)?(to_(?:q|k|v|out))_lora\\.(down|up|alpha)(\\.weight)?");
    private static final Map<String, String> TEXT_ENCODER = Map.of("to_q", "q_proj", "to_k", "k_proj", "to_v", "v_proj", "to_out", "out_proj");

    private ProcessorNames() {
    }

    static Optional<LoraKey> key(String tensor) {
        Matcher name = NAME.matcher(tensor);
        if (!name.matches()) {
            return Optional.empty();
        }
        DottedNames.Place attention = DottedNames.place(name.group(1));
        String layer = name.group(3);
        String own = attention.part().startsWith("text_encoder") ? TEXT_ENCODER.get(layer) : layer.equals("to_out") ? "to_out.0" : layer;
        return Optional.of(new LoraKey(attention.part(), attention.layer() + "." + own, name.group(4)));
    }
}
