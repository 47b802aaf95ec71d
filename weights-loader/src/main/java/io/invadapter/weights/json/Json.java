package io.invadapter.weights.json;

import io.invadapter.weights.WeightException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Objects;

/**
 * JSON, for the configurations and vocabularies that come with weights: no duplicate keys, limited nesting, and errors that say
 * where. A byte order mark in front and the numbers {@code NaN}, {@code Infinity} and {@code -Infinity}, which Python writes, are
 * read too.
 */
public final class Json {

    /** Far more than any configuration or vocabulary; keeps a wrong path from filling the memory. */
    private static final long MAX_FILE_BYTES = 32L << 20;

    /** Characters of a value in a message. */
    private static final int MOST_SHOWN = 80;

    private Json() {
    }

    /**
     * Reads a JSON file.
     *
     * @throws WeightException if it cannot be read, is over 32 MB, or is not valid JSON
     */
    public static JsonValue read(Path file) {
        return parse(bytes(Objects.requireNonNull(file, "file"), "a JSON file"), file.toString());
    }

    /** @param kind of file that is expected, for the message that it is too large */
    static byte[] bytes(Path file, String kind) {
        try {
            long size = Files.size(file);
            if (size > MAX_FILE_BYTES) {
                throw new WeightException(file + " has " + size + " bytes, too many for " + kind + " (limit " + MAX_FILE_BYTES + ")");
            }
            return Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            throw WeightException.missing(file);
        } catch (IOException e) {
            throw new WeightException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * Parses a JSON text.
     *
     * @throws WeightException if it is not valid JSON
     */
    public static JsonValue parse(String text) {
        return parse(text.getBytes(StandardCharsets.UTF_8), "the text");
    }

    /**
     * Parses UTF-8 bytes.
     *
     * @param name what error messages call the text, for instance its path
     * @throws WeightException if it is not valid JSON
     */
    public static JsonValue parse(byte[] utf8, String name) {
        JsonReader reader = new JsonReader(Objects.requireNonNull(utf8, "utf8"), Objects.requireNonNull(name, "name"));
        Object value = reader.value();
        reader.end();
        return new JsonValue(value, null, name);
    }

    /** As much of a text as a message shows: whoever wrote the file decides how long it is. */
    public static String shortened(String text) {
        return text.length() <= MOST_SHOWN ? text : text.substring(0, MOST_SHOWN) + "…";
    }

    /** The text as a JSON string, with its quotation marks. */
    public static String quote(String text) {
        StringBuilder quoted = new StringBuilder(text.length() + 2).append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> quoted.append("\\\"");
                case '\\' -> quoted.append("\\\\");
                case '\n' -> quoted.append("\\n");
                case '\r' -> quoted.append("\\r");
                case '\t' -> quoted.append("\\t");
                default -> {
                    if (c < 0x20) {
                        quoted.append(String.format("\\u%04x", (int) c));
                    } else {
                        quoted.append(c);
                    }
                }
            }
        }
        return quoted.append('"').toString();
    }
}
