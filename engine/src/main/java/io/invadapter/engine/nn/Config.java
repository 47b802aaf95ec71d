package io.invadapter.engine.nn;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A configuration file while it is read. Of each key there is a rule: its value is computed with, or nothing but what the engine
 * computes is accepted, or it makes no difference. {@link #report} tells of the keys in the file for which there is none.
 *
 * <p>A key that is absent has the default that diffusers or transformers give it. {@code null} is a value like any other there, so
 * it is accepted only where it means something.
 */
public final class Config {
    private final JsonValue file;
    private final Map<String, JsonValue> members;
    private final Set<String> known = new HashSet<>();

    /** @param file an object */
    public Config(JsonValue file) {
        this.file = file;
        this.members = file.asObject();
    }

    private Optional<JsonValue> member(String key) {
        known.add(key);
        return Optional.ofNullable(members.get(key));
    }

    /** The value of a key whose default is {@code null}. */
    public Optional<JsonValue> optional(String key) {
        return member(key).filter(value -> !value.isNull());
    }

    public int integer(String key, int fallback) {
        return member(key).map(JsonValue::asInt).orElse(fallback);
    }

    /** A finite number. */
    public double number(String key, double fallback) {
        return member(key).map(Config::finite).orElse(fallback);
    }

    public boolean flag(String key, boolean fallback) {
        return member(key).map(JsonValue::asBoolean).orElse(fallback);
    }

    public int[] integers(String key, int... fallback) {
        return member(key).map(list -> list.asList().stream().mapToInt(JsonValue::asInt).toArray()).orElse(fallback);
    }

    public List<String> texts(String key, String... fallback) {
        return member(key).map(list -> list.asList().stream().map(JsonValue::asString).toList()).orElse(List.of(fallback));
    }

    /** One number for each level, or one for all. */
    public int[] perLevel(String key, int levels, int fallback) {
        return member(key).map(value -> perLevel(value, levels)).orElseGet(() -> IntStream.generate(() -> fallback).limit(levels).toArray());
    }

    private static int[] perLevel(JsonValue value, int levels) {
        if (!value.isList()) {
            int all = value.asInt();
            return IntStream.generate(() -> all).limit(levels).toArray();
        }
        requireSize(value, levels);
        return value.asList().stream().mapToInt(JsonValue::asInt).toArray();
    }

    /** One number, which may be written once for each level. */
    public int sameForAll(String key, int fallback) {
        return member(key).map(value -> {
            List<JsonValue> entries = value.isList() ? value.asList() : List.of(value);
            int first = entries.isEmpty() ? 0 : entries.getFirst().asInt();
            if (entries.isEmpty() || entries.stream().anyMatch(entry -> entry.asInt() != first)) {
                throw refused(value, "the same number for all blocks");
            }
            return first;
        }).orElse(fallback);
    }

    private static void requireSize(JsonValue list, int levels) {
        if (list.asList().size() != levels) {
            throw new WeightException(list.where() + " has " + list.asList().size() + " entries; expected " + levels
                    + ", one for each of block_out_channels");
        }
    }

    /** A block's type for each level: whether it is {@code with}, where the only other one is {@code without}. */
    public boolean[] blocks(String key, int levels, String with, String without, String... fallback) {
        member(key).ifPresent(list -> requireSize(list, levels));
        only(key, with, without);
        List<String> types = texts(key, fallback);
        if (types.size() != levels) {
            throw new WeightException(file.where() + " has no " + key + " but " + levels + " block_out_channels");
        }
        boolean[] result = new boolean[levels];
        for (int i = 0; i < levels; i++) {
            result[i] = types.get(i).equals(with);
        }
        return result;
    }

    /** One of some words. */
    public String oneOf(String key, String fallback, Collection<String> supported) {
        only(key, supported.toArray());
        return member(key).map(JsonValue::asString).orElse(fallback);
    }

    /**
     * Refuses everything else; a list entry by entry. Absent passes: the default is among the supported.
     *
     * @param supported as in {@link JsonValue#of}
     */
    public void only(String key, Object... supported) {
        List<JsonValue> values = Stream.of(supported).map(value -> JsonValue.of(value, key)).toList();
        member(key).ifPresent(value -> {
            for (JsonValue entry : value.isList() ? value.asList() : List.of(value)) {
                if (values.stream().noneMatch(accepted -> same(accepted, entry))) {
                    throw refused(entry, values.stream().map(JsonValue::toString).distinct().collect(Collectors.joining(" or ")));
                }
            }
        });
    }

    /** Refuses everything but {@code null}, which means that something optional is not there. */
    public void absent(String... keys) {
        for (String key : keys) {
            optional(key).ifPresent(value -> {
                throw refused(value, "null");
            });
        }
    }

    /** Keys that may have any value. */
    public void harmless(Set<String> keys) {
        known.addAll(keys);
    }

    /** Tells of every key that there is no rule for. Names that begin with "_" are notes of the program that wrote the file. */
    public void report(Consumer<String> notices) {
        members.forEach((key, value) -> {
            if (!known.contains(key) && !key.startsWith("_") && !value.isNull()) {
                notices.accept(value.where() + " is " + Json.shortened(value.toString()) + ", which this engine does not know: the pictures may not be what was meant");
            }
        });
    }

    /** The refusal of a value. */
    public static WeightException refused(JsonValue value, String expected) {
        return new WeightException(value.where() + " is " + Json.shortened(value.toString()) + ", which this engine does not compute; expected " + expected);
    }

    public void positive(String name, int... values) {
        for (int value : values) {
            if (value < 1 || value > 1 << 20) {
                throw new WeightException(file.where() + ": " + name + " is " + value + "; expected a positive number");
            }
        }
    }

    /** Where the file lies, for messages. */
    public String where() {
        return file.where();
    }

    private static boolean same(JsonValue a, JsonValue b) {
        return a.isNumber() && b.isNumber() ? a.asDouble() == b.asDouble() : a.equals(b);
    }

    private static double finite(JsonValue value) {
        if (!Double.isFinite(value.asDouble())) {
            throw new WeightException(value.where() + " is " + value + " where a finite number is expected");
        }
        return value.asDouble();
    }
}
