package io.invadapter.engine.model;

import io.invadapter.weights.JsonValue;
import io.invadapter.weights.WeightException;
import java.util.List;

/** Reads {@code config.json} files: values with defaults, and a clear refusal of what this engine does not compute. */
final class Config {

    private Config() {
    }

    static int integer(JsonValue config, String key, int fallback) {
        return config.find(key).map(JsonValue::asInt).orElse(fallback);
    }

    static float number(JsonValue config, String key, double fallback) {
        return config.find(key).map(JsonValue::asDouble).orElse(fallback).floatValue();
    }

    static boolean flag(JsonValue config, String key, boolean fallback) {
        return config.find(key).map(JsonValue::asBoolean).orElse(fallback);
    }

    static int[] integers(JsonValue config, String key) {
        return config.get(key).asList().stream().mapToInt(JsonValue::asInt).toArray();
    }

    /** A list with one entry for each level, or one number for all. */
    static int[] perLevel(JsonValue value, int levels) {
        int[] result = new int[levels];
        for (int i = 0; i < levels; i++) {
            result[i] = value.isList() ? entry(value, i, levels) : value.asInt();
        }
        return result;
    }

    private static int entry(JsonValue list, int index, int levels) {
        if (list.asList().size() != levels) {
            throw new WeightException(list.where() + " has " + list.asList().size() + " entries; expected " + levels
                    + ", one for each block");
        }
        return list.asList().get(index).asInt();
    }

    /** Refuses any value but those in {@code supported}; absent and null pass. */
    static void require(JsonValue config, String key, Object... supported) {
        config.find(key).ifPresent(value -> {
            Object found = value.isBoolean() ? (Object) value.asBoolean() : value.isString() ? value.asString()
                    : value.isNumber() ? (Object) value.asDouble() : value.toString();
            if (!List.of(supported).contains(found)) {
                throw new WeightException(value.where() + " is " + value + ", which this engine does not compute; expected "
                        + (supported.length == 0 ? "null" : List.of(supported)));
            }
        });
    }

    static void positive(JsonValue config, String name, int... values) {
        for (int value : values) {
            if (value < 1 || value > 1 << 20) {
                throw new WeightException(config.where() + ": " + name + " is " + value + "; expected a positive number");
            }
        }
    }
}
