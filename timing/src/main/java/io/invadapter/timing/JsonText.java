package io.invadapter.timing;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Maps, lists, numbers, truth values and text as JSON. */
public final class JsonText {

    private JsonText() {
    }

    /** A number that JSON does not have, an infinity say, becomes {@code null}. */
    public static String of(Object value) {
        return write(value, "\n") + "\n";
    }

    /** The same in one line, with its end. */
    public static String line(Object value) {
        return write(value, "") + "\n";
    }

    /** @param line what stands between two elements, or nothing for all in one line */
    private static String write(Object value, String line) {
        String deeper = line.isEmpty() ? "" : line + "  ";
        String comma = line.isEmpty() ? ", " : "," + deeper;
        return switch (value) {
            case null -> "null";
            case Map<?, ?> map when map.isEmpty() -> "{}";
            case Map<?, ?> map -> map.entrySet().stream()
                    .map(e -> quoted(e.getKey().toString()) + ": " + write(e.getValue(), deeper))
                    .collect(Collectors.joining(comma, "{" + deeper, line + "}"));
            case List<?> list when list.isEmpty() -> "[]";
            case List<?> list -> list.stream().map(e -> write(e, deeper))
                    .collect(Collectors.joining(comma, "[" + deeper, line + "]"));
            case Double number -> Double.isFinite(number) ? number.toString() : "null";
            case Float number -> Float.isFinite(number) ? number.toString() : "null";
            case Number number -> number.toString();
            case Boolean truth -> truth.toString();
            default -> quoted(value.toString());
        };
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append("\\u%04x".formatted((int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }
}
