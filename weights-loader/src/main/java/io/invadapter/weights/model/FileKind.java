package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.naming.LoraKey;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/** What a weight file is, by the names in it: for the sentence that refuses it where another kind is expected. */
public final class FileKind {

    private static final List<String> EMBEDDING = List.of("emb_params", "string_to_param", "clip_l", "clip_g", "<");

    private FileKind() {
    }

    /** With its article: {@code a ControlNet}. */
    public static String of(WeightSource file) {
        Set<String> names = file.names();
        if ("inv-adapter".equals(file.metadata().get("format")) || any(names, name -> name.contains(".eaa."))) {
            return "an Inv-Adapter";
        }
        if (any(names, name -> name.startsWith("lllite_") || name.startsWith("control_model.") || name.equals("lora_controlnet")
                || name.contains("controlnet_") || name.contains("input_hint_block."))) {
            return "a ControlNet";
        }
        if (any(names, name -> name.startsWith("ip_adapter.") || name.startsWith("image_proj."))) {
            return "an IP-Adapter";
        }
        if (any(names, name -> name.contains("model.diffusion_model."))) {
            return "a whole checkpoint";
        }
        if (any(names, name -> name.contains("double_blocks.") || name.contains("joint_blocks.") || name.startsWith("transformer_blocks."))) {
            return "a model with a transformer in place of a UNet";
        }
        if (any(names, name -> name.endsWith("encoder.conv_in.weight") || name.endsWith("decoder.conv_in.weight"))) {
            return "a VAE";
        }
        if (names.contains("conv_in.weight") || any(names, name -> name.startsWith("input_blocks."))) {
            return "a UNet";
        }
        if (any(names, name -> name.endsWith("token_embedding.weight"))) {
            return "a text encoder";
        }
        if (any(names, name -> LoraKey.of(name).isPresent())) {
            return "a LoRA";
        }
        if (any(names, name -> EMBEDDING.stream().anyMatch(name::startsWith)) || names.size() == 1 && isMatrix(file, names.iterator().next())) {
            return "an embedding (textual inversion)";
        }
        return names.isEmpty() ? "a file without tensors" : "a file of " + names.size() + " tensors such as '" + names.iterator().next() + "'";
    }

    private static boolean any(Set<String> names, Predicate<String> mark) {
        return names.stream().anyMatch(mark);
    }

    private static boolean isMatrix(WeightSource file, String name) {
        try {
            return file.tensor(name).shape().length <= 2;
        } catch (WeightException e) {
            // Of a type that cannot be read.
            return false;
        }
    }
}
