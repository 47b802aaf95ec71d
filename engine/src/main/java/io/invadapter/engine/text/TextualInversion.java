package io.invadapter.engine.text;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.model.FileKind;
import io.invadapter.weights.safetensors.Safetensors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;

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
                throw new WeightException(file + " is " + FileKind.of(source) + ", not for Stable Diffusion 1.x or 2.x");
            }
            if (names.size() != 1) {
                throw new WeightException(file + " is " + FileKind.of(source) + ", not a textual inversion, which is one tensor");
            }
            String key = names.iterator().next();
            WeightTensor tensor = source.tensor(key);
            long[] shape = tensor.shape();
            boolean vectors = tensor.dtype().isFloat() && (shape.length == 1 || shape.length == 2) && tensor.elements() > 0;
            if (!vectors) {
                throw new WeightException(file + " is no textual inversion: its tensor " + tensor + " is not [vectors, channels] of floating-point values");
            }
            if (shape[shape.length - 1] != channels) {
                throw new WeightException(file + " is " + FileKind.of(source) + ", not for this model: its vectors have " + shape[shape.length - 1]
                        + " channels, this model's text encoder " + channels);
            }
            if (tensor.elements() / channels > room) {
                throw new WeightException(file + " holds " + tensor.elements() / channels + " vectors where a text has room for " + room + " tokens");
            }
            String placeholder = key.equals(WEBUI) ? name.endsWith(ENDING) ? name.substring(0, name.length() - ENDING.length()) : name : key;
            if (placeholder.isBlank()) {
                throw new WeightException(file + " names " + Json.quote(placeholder) + " as its placeholder, which no text can hold");
            }
            if (!tensor.isFinite()) {
                throw WeightException.notFinite(file.toString(), tensor);
            }
            return new TextualInversion(placeholder, tensor.toFloats(), channels, file);
        }
    }

    /**
     * The files given, and all {@code .safetensors} in the folders given. One in a folder that is no textual inversion of this model
     * is passed over.
     *
     * @param places  files and folders
     * @param notices told of those passed over
     * @throws WeightException when a file cannot be read, or the placeholder of one is that of another
     */
    public static List<TextualInversion> readAll(List<Path> places, int channels, int room, Consumer<String> notices) {
        Map<String, TextualInversion> byPlaceholder = new LinkedHashMap<>();
        for (Path place : places) {
            if (!Files.isDirectory(place)) {
                add(read(place, channels, room), byPlaceholder);
                continue;
            }
            for (Path file : filesIn(place)) {
                try {
                    add(read(file, channels, room), byPlaceholder);
                } catch (WeightException e) {
                    notices.accept(e.getMessage() + "; it is passed over");
                }
            }
        }
        return List.copyOf(byPlaceholder.values());
    }

    private static void add(TextualInversion inversion, Map<String, TextualInversion> byPlaceholder) {
        TextualInversion other = byPlaceholder.putIfAbsent(inversion.placeholder.toLowerCase(Locale.ROOT), inversion);
        if (other != null && !other.file.equals(inversion.file)) {
            throw new WeightException(inversion.file + " has the placeholder " + inversion.placeholder + ", as " + other.file + " has");
        }
    }

    private static List<Path> filesIn(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(ENDING)).sorted().toList();
        } catch (IOException | UncheckedIOException e) {
            throw new WeightException(folder + " cannot be read: " + e.getMessage(), e);
        }
    }

    /** The number of tokens that the placeholder stands for. */
    public int count() {
        return vectors.length / channels;
    }
}
