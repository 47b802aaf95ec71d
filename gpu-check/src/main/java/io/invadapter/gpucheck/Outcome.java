package io.invadapter.gpucheck;

import io.invadapter.weights.json.JsonValue;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What became of a step.
 *
 * @param detail one line for people
 * @param data   figures for the JSON file, or {@code null}
 */
public record Outcome(Verdict verdict, String detail, Object data) {

    public enum Verdict {
        OK, FAILED, SKIPPED
    }

    public static Outcome of(boolean passed, String detail, Object data) {
        return new Outcome(passed ? Verdict.OK : Verdict.FAILED, detail, data);
    }

    public static Outcome skipped(String why) {
        return new Outcome(Verdict.SKIPPED, why, null);
    }

    public static Outcome failed(String why) {
        return new Outcome(Verdict.FAILED, why, null);
    }

    /** For the JSON file, and for the way from one process to the other. */
    public Map<String, Object> json() {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("verdict", verdict.name());
        json.put("detail", detail);
        json.put("data", data);
        return json;
    }

    public static Outcome read(JsonValue json) {
        return new Outcome(Verdict.valueOf(json.get("verdict").asString()), json.get("detail").asString(),
                plain(json.get("data")));
    }

    /** Maps, lists, numbers, truth values and text. */
    public static Object plain(JsonValue value) {
        if (value.isNull()) {
            return null;
        }
        if (value.isObject()) {
            Map<String, Object> map = new LinkedHashMap<>();
            value.asObject().forEach((key, inner) -> map.put(key, plain(inner)));
            return map;
        }
        if (value.isList()) {
            return value.asList().stream().map(Outcome::plain).toList();
        }
        return value.isNumber() ? value.asNumber() : value.isBoolean() ? (Object) value.asBoolean() : value.asString();
    }
}
