package io.invadapter.engine.text;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.safetensors.Safetensors;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * Vectors that stand for something no word does (Gal et al., "An Image is Worth One Word", 2022). Where the placeholder occurs in a
 * text, they take the place of the embeddings of tokens.
 *
 * @param placeholder as it is written in texts
 * @param vectors     {@code [count, channels]}
 * @param file        they came from
 */
public record TextualInversion(String placeholder, float[] vectors, int channels, Path file) {
    /** The key of stable-diffusion-webui's files. */
    private static final String WEBUI = "emb_params";
    private static final String ENDING = ".safetensors";

    /** What else users have as {@code .safetensors}: part of a tensor's name, and what it is then. */
    private static final List<List<String>> OTHERS = List.of(
            List.of("lora", "a LoRA"), List.of("hada_w", "a LoHa"), List.of("lokr_", "a LoKr"), List.of(".eaa.", "an Inv-Adapter"),
            List.of("ip_adapter.", "an IP-Adapter"), List.of("image_proj.", "an IP-Adapter"),
            List.of("control_model.", "a ControlNet"), List.of("controlnet_", "a ControlNet"),
            List.of("model.diffusion_model.", "a whole checkpoint"), List.of("down_blocks.0.attentions.", "a UNet"),
            List.of("encoder.conv_in.", "a VAE"), List.of("embeddings.token_embedding.", "a text encoder"));

    public TextualInversion {
        Objects.requireNonNull(placeholder, "placeholder");
        Objects.requireNonNull(vectors, "vectors");
        Objects.requireNonNull(file, "file");
    }

    /**
     * Reads a file of diffusers, {@code {"<placeholder>": [n, C] or [C]}}, or of stable-diffusion-webui, {@code {"emb_params": [n, C]}},
     * whose placeholder is the file's name.
     *
     * @param channels of the text encoder's embeddings
     * @param room     for the tokens of a text
     * @throws WeightException when it is something else, or made for another model
     */
    public static TextualInversion read(Path file, int channels, int room) {
        String name = file.getFileName().toString();
        if (name.matches("(?i).*\\.(pt|bin|ckpt|pth)")) {
            throw new WeightException(file + " is a pickle by its name, which is not read: a textual inversion is expected as " + ENDING);
        }
        try (WeightSource source = Safetensors.open(file)) {
            Set<String> names = source.names();
            if (names.contains("clip_g") || names.contains("clip_l")) {
                throw new WeightException(file + " was made for another model: its tensors " + String.join(" and ", names.stream().sorted().toList())
                        + " are for the text encoders of Stable Diffusion XL");
            }
            if (names.size() != 1) {
                throw new WeightException(file + " is no textual inversion, which has one tensor, but " + kind(names));
            }
            String key = names.iterator().next();
            WeightTensor tensor = source.tensor(key);
            long[] shape = tensor.shape();
            boolean vectors = tensor.dtype().isFloat() && (shape.length == 1 || shape.length == 2) && tensor.elements() > 0;
            if (!vectors) {
                throw new WeightException(file + " is no textual inversion: its tensor " + tensor + " is not [vectors, channels] of floating-point values");
            }
            if (shape[shape.length - 1] != channels) {
                throw new WeightException(file + " was made for another model: its vectors have " + shape[shape.length - 1]
                        + " channels, this model's text encoder " + channels);
            }
            if (tensor.elements() / channels > room) {
                throw new WeightException(file + " holds " + tensor.elements() / channels + " vectors where a text has room for " + room + " tokens");
            }
            String placeholder = key.equals(WEBUI) ? name.endsWith(ENDING) ? name.substring(0, name.length() - ENDING.length()) : name : key;
            if (placeholder.isBlank()) {
                throw new WeightException(file + " names " + Json.quote(placeholder) + " as its placeholder, which no text can hold");
            }
            float[] values = tensor.toFloats();
            for (float value : values) {
                if (!Float.isFinite(value)) {
                    throw new WeightException(file + " holds values that are not finite: " + tensor);
                }
            }
            return new TextualInversion(placeholder, values, channels, file);
        }
    }

    /** What a file with such tensors is. */
    private static String kind(Set<String> names) {
        return OTHERS.stream().filter(other -> names.stream().anyMatch(name -> name.contains(other.getFirst()))).map(List::getLast).findFirst()
                .orElse(names.isEmpty() ? "none" : names.size() + " such as " + Json.quote(names.iterator().next()));
    }

    /** The number of tokens that the placeholder stands for. */
    public int count() {
        return vectors.length / channels;
    }
}
