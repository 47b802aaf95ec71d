package io.invadapter.weights.json;

import io.invadapter.weights.WeightException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * An immutable JSON value that knows where it came from: asking for the wrong type or a missing key throws a
 * {@link WeightException} that names the file and the path inside it. {@link #toString()} is the value as JSON.
 */
public final class JsonValue {

    private final Object value;
    private final JsonValue parent;
    /** The key or index in the parent; for the root what messages call the whole text. */
    private final Object step;

    /**
     * A value made of Java objects: Map with String keys, List, String, Integer, Long, Double, Boolean or null.
     *
     * @param name what error messages call the value
     * @throws IllegalArgumentException if there is any other object in it
     */
    public static JsonValue of(Object value, String name) {
        return new JsonValue(plain(value), null, name);
    }

    /** Takes the value as {@link JsonReader#value()} made it. */
    JsonValue(Object value, JsonValue parent, Object step) {
        this.value = value;
        this.parent = parent;
        this.step = step;
    }

    /** The value of a key; throws if this is not an object or has no such key. */
    public JsonValue get(String key) {
        Map<?, ?> members = members();
        if (!members.containsKey(Objects.requireNonNull(key, "key"))) {
            throw new WeightException(where() + " has no " + Json.quote(key));
        }
        return new JsonValue(members.get(key), this, key);
    }

    /** The value of a key, empty if the key is missing or its value is null; throws if this is not an object. */
    public Optional<JsonValue> find(String key) {
        Object member = members().get(Objects.requireNonNull(key, "key"));
        return member == null ? Optional.empty() : Optional.of(new JsonValue(member, this, key));
    }

    /** The same object with another value of one key, as in {@link #of}. */
    public JsonValue with(String key, Object member) {
        Map<String, Object> members = new LinkedHashMap<>();
        members().forEach((name, other) -> members.put((String) name, other));
        members.put(key, plain(member));
        return new JsonValue(Collections.unmodifiableMap(members), parent, step);
    }

    /** The members of an object in the order of the text, unmodifiable. */
    public Map<String, JsonValue> asObject() {
        Map<String, JsonValue> result = new LinkedHashMap<>();
        members().forEach((key, member) -> result.put((String) key, new JsonValue(member, this, key)));
        return Collections.unmodifiableMap(result);
    }

    /** The members of an object all of whose values are integers that fit an int. */
    public Map<String, Integer> asIntegers() {
        Map<?, ?> members = members();
        Map<String, Integer> result = HashMap.newHashMap(members.size());
        members.forEach((key, member) -> result.put((String) key, new JsonValue(member, this, key).asInt()));
        return result;
    }

    /** The elements of an array, unmodifiable. */
    public List<JsonValue> asList() {
        if (!(value instanceof List<?> elements)) {
            throw wrong("an array");
        }
        List<JsonValue> result = new ArrayList<>(elements.size());
        for (int i = 0; i < elements.size(); i++) {
            result.add(new JsonValue(elements.get(i), this, i));
        }
        return Collections.unmodifiableList(result);
    }

    public String asString() {
        if (!(value instanceof String string)) {
            throw wrong("a string");
        }
        return string;
    }

    /** A number that is written as an integer and fits an int. */
    public int asInt() {
        long number = asLong();
        if (number != (int) number) {
            throw wrong("an integer of 32 bits");
        }
        return (int) number;
    }

    /** A number that is written as an integer and fits a long. */
    public long asLong() {
        if (!(value instanceof Long number)) {
            throw wrong("an integer");
        }
        return number;
    }

    /** Any number, also NaN and infinite ones. */
    public double asDouble() {
        return asNumber().doubleValue();
    }

    /** Any number: a Long where it is written as an integer and fits, else a Double. */
    public Number asNumber() {
        if (!(value instanceof Number number)) {
            throw wrong("a number");
        }
        return number;
    }

    public boolean asBoolean() {
        if (!(value instanceof Boolean bool)) {
            throw wrong("true or false");
        }
        return bool;
    }

    public boolean isNull() {
        return value == null;
    }

    public boolean isObject() {
        return value instanceof Map;
    }

    public boolean isList() {
        return value instanceof List;
    }

    public boolean isString() {
        return value instanceof String;
    }

    public boolean isNumber() {
        return value instanceof Number;
    }

    public boolean isBoolean() {
        return value instanceof Boolean;
    }

    /** The file and the path of this value inside it, for messages: {@code unet/config.json: block_out_channels[2]}. */
    public String where() {
        if (parent == null) {
            return (String) step;
        }
        if (step instanceof Integer) {
            return parent.where() + "[" + step + "]";
        }
        return parent.where() + (parent.parent == null ? ": " : ".") + step;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonValue that && (value == null ? that.value == null : value.equals(that.value));
    }

    @Override
    public int hashCode() {
        return value == null ? 0 : value.hashCode();
    }

    @Override
    public String toString() {
        return text(value);
    }

    private Map<?, ?> members() {
        if (!(value instanceof Map<?, ?> members)) {
            throw wrong("an object");
        }
        return members;
    }

    private WeightException wrong(String expected) {
        String found = isObject() ? "an object" : isList() ? "an array" : Json.shortened(text(value));
        return new WeightException(where() + " is " + found + " where " + expected + " is expected");
    }

    private static Object plain(Object value) {
        return switch (value) {
            case null -> null;
            case String string -> string;
            case Boolean bool -> bool;
            case Long number -> number;
            case Integer number -> number.longValue();
            case Double number -> number;
            case List<?> list -> {
                List<Object> elements = new ArrayList<>();
                list.forEach(element -> elements.add(plain(element)));
                yield Collections.unmodifiableList(elements);
            }
            case Map<?, ?> map -> {
                Map<String, Object> members = new LinkedHashMap<>();
                map.forEach((key, member) -> members.put((String) key, plain(member)));
                yield Collections.unmodifiableMap(members);
            }
            default -> throw new IllegalArgumentException("JSON has no " + value);
        };
    }

    private static String text(Object value) {
        return switch (value) {
            case String string -> Json.quote(string);
            case List<?> list -> list.stream().map(JsonValue::text).collect(Collectors.joining(", ", "[", "]"));
            case Map<?, ?> map -> map.entrySet().stream().map(entry -> Json.quote((String) entry.getKey()) + ": " + text(entry.getValue()))
                    .collect(Collectors.joining(", ", "{", "}"));
            case null, default -> String.valueOf(value);
        };
    }
}
