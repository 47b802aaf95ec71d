package io.invadapter.weights;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * YAML as people write configurations in it: blocks by indentation, lists, braces and brackets, quotes, comments. Values are those
 * of OmegaConf, which the original code reads with. What refers to another place (aliases, tags, merged keys) stays the text that
 * it is, so that nobody who asks for a number gets one.
 */
final class Yaml {

    private static final int MAX_DEPTH = 50;
    private static final Pattern INTEGER = Pattern.compile("[-+]?(0|[1-9][0-9_]{0,17})");
    private static final Pattern NUMBER = Pattern.compile("[-+]?([0-9][0-9_]*\\.?[0-9_]*|\\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?");
    private static final String FLOW = ",[]{}";
    /** What a key that stands for another place, or is of many lines, begins with. */
    private static final String REFERENCES = "&*!?";

    private final String name;
    private final String text;
    /** On a character of the content, or where a line ends. */
    private int at;
    private int depth;

    private Yaml(String name, String text) {
        this.name = name;
        this.text = text;
    }

    /**
     * Reads a file.
     *
     * @return the first document; {@code null} as a value when there is none
     * @throws WeightException if there is no such file, or it is not understood
     */
    static JsonValue read(Path file) {
        String text = new String(Json.bytes(file, "a configuration"), StandardCharsets.UTF_8);
        return parse(text, file.toString());
    }

    /** @param name what messages call the text */
    static JsonValue parse(String text, String name) {
        String plain = text.replace("\uFEFF", "").replace("\r\n", "\n").replace('\r', '\n');
        Yaml yaml = new Yaml(name, plain);
        if (plain.indexOf('\0') >= 0) {
            throw yaml.wrong("this is no text in UTF-8");
        }
        int column = yaml.firstColumn();
        Object value = column < 0 ? null : yaml.node(column, -1);
        if (column >= 0 && yaml.nextColumn() >= 0) {
            throw yaml.wrong("not understood from '" + yaml.shown() + "' on");
        }
        return JsonValue.of(value, name);
    }

    // --- lines ------------------------------------------------------------------------------------------------------

    private int firstColumn() {
        int column = contentColumn();
        while (column == 0 && (text.startsWith("---", at) || text.charAt(at) == '%')) {
            if (text.charAt(at) == '-') {
                at += 3;
                return nextColumn();
            }
            skipLine();
            column = contentColumn();
        }
        return column;
    }

    /** From the end of a line's content to the content that comes next: its column, or -1 when the document ends. */
    private int nextColumn() {
        skipSpaces();
        if (!atLineEnd()) {
            throw wrong("not understood from '" + shown() + "' on");
        }
        skipLine();
        int column = contentColumn();
        return column == 0 && (text.startsWith("---", at) || text.startsWith("...", at)) ? -1 : column;
    }

    /** From the beginning of a line. */
    private int contentColumn() {
        while (at < text.length()) {
            int start = at;
            while (at < text.length() && text.charAt(at) == ' ') {
                at++;
            }
            int column = at - start;
            skipSpaces();
            if (!atLineEnd()) {
                if (at - start > column) {
                    throw wrong("the line is indented by a tab; expected spaces");
                }
                return column;
            }
            skipLine();
        }
        return -1;
    }

    private void skipSpaces() {
        while (at < text.length() && isSpace(text.charAt(at))) {
            at++;
        }
    }

    /** Nothing more in this line, but perhaps a comment. */
    private boolean atLineEnd() {
        return isEnd(at) || text.charAt(at) == '#' && (at == 0 || isSpace(text.charAt(at - 1)) || text.charAt(at - 1) == '\n');
    }

    private void skipLine() {
        int end = text.indexOf('\n', at);
        at = end < 0 ? text.length() : end + 1;
    }

    private boolean isEnd(int position) {
        return position >= text.length() || text.charAt(position) == '\n';
    }

    private static boolean isSpace(char c) {
        return c == ' ' || c == '\t';
    }

    private int column() {
        return at - (text.lastIndexOf('\n', at - 1) + 1);
    }

    // --- blocks -----------------------------------------------------------------------------------------------------

    /** What begins here, in a column of its own. @param outer column of what it belongs to */
    private Object node(int column, int outer) {
        deeper();
        Object value = isDash() ? list(column) : keyEnd() >= 0 ? mapping(column) : scalar(outer);
        depth--;
        return value;
    }

    private boolean isDash() {
        return text.charAt(at) == '-' && (isEnd(at + 1) || isSpace(text.charAt(at + 1)));
    }

    private List<Object> list(int column) {
        List<Object> elements = new ArrayList<>();
        int next;
        do {
            at++;
            elements.add(behind(column, false));
            next = nextColumn();
        } while (next == column && isDash());
        return ended(elements, next, column);
    }

    private Map<String, Object> mapping(int column) {
        Map<String, Object> members = new LinkedHashMap<>();
        int next;
        do {
            int colon = keyEnd();
            if (colon < 0 || REFERENCES.indexOf(text.charAt(at)) >= 0) {
                throw wrong("not understood: '" + shown() + "' where 'key: value' is expected");
            }
            String key = key(colon);
            at = colon + 1;
            if (members.containsKey(key)) {
                throw wrong("the key " + Json.quote(key) + " is there twice");
            }
            members.put(key, behind(column, true));
            next = nextColumn();
        } while (next == column && !isDash());
        return ended(members, next, column);
    }

    /** Steps back to the end of the line before, where whatever this belongs to goes on. */
    private <T> T ended(T value, int next, int column) {
        if (next > column) {
            throw wrong("the line is indented deeper than the one it belongs to");
        }
        if (next >= 0) {
            at -= next + 1;
        } else {
            at = text.length();
        }
        return value;
    }

    /** The value behind a dash or a key's colon. */
    private Object behind(int column, boolean ofKey) {
        skipSpaces();
        skipAnchor();
        if (!atLineEnd()) {
            return ofKey ? scalar(column) : node(column(), column);
        }
        int mark = at;
        int next = nextColumn();
        // A list may stand in the column of its key.
        if (next > column || ofKey && next == column && isDash()) {
            return node(next, column);
        }
        at = mark;
        return null;
    }

    private void skipAnchor() {
        if (at < text.length() && text.charAt(at) == '&') {
            while (!isEnd(at) && !isSpace(text.charAt(at))) {
                at++;
            }
            skipSpaces();
        }
    }

    /** Where the colon behind a key stands, or -1: what stands here is no key. */
    private int keyEnd() {
        int i = at;
        char first = text.charAt(i);
        if (first == '"' || first == '\'') {
            i = text.indexOf(first, i + 1);
            if (i < 0) {
                return -1;
            }
            do {
                i++;
            } while (!isEnd(i) && isSpace(text.charAt(i)));
            return !isEnd(i) && text.charAt(i) == ':' && (isEnd(i + 1) || isSpace(text.charAt(i + 1))) ? i : -1;
        }
        if (first == '[' || first == '{') {
            return -1;
        }
        for (; !isEnd(i); i++) {
            char c = text.charAt(i);
            if (c == ':' && (isEnd(i + 1) || isSpace(text.charAt(i + 1)))) {
                return i;
            }
            if (c == '#' && i > at && isSpace(text.charAt(i - 1))) {
                return -1;
            }
        }
        return -1;
    }

    private String key(int colon) {
        String key = text.substring(at, colon).strip();
        boolean quoted = key.length() > 1 && (key.charAt(0) == '"' || key.charAt(0) == '\'');
        return quoted ? key.substring(1, key.length() - 1) : key;
    }

    /** @param column of the key or dash; lines that are indented deeper go on with the value */
    private Object scalar(int column) {
        switch (text.charAt(at)) {
            case '[', '{', '"', '\'' -> {
                return flow();
            }
            case '|', '>' -> {
                return blockText(column);
            }
            default -> {
                StringBuilder plain = new StringBuilder(plainLine());
                int end = at;
                while (nextColumn() > column) {
                    if (keyEnd() >= 0 || isDash()) {
                        throw wrong("the line is indented deeper than the one it belongs to");
                    }
                    plain.append(' ').append(plainLine());
                    end = at;
                }
                at = end;
                return resolved(plain.toString());
            }
        }
    }

    private String plainLine() {
        int start = at;
        while (!atLineEnd()) {
            at++;
        }
        return text.substring(start, at).strip();
    }

    /** A text of whole lines; nothing that is asked for is one, so its lines stay as they are. */
    private String blockText(int column) {
        int start = at;
        int end;
        do {
            end = text.indexOf('\n', at);
            end = end < 0 ? text.length() : end;
            at = Math.min(text.length(), end + 1);
            int line = at;
            while (at < text.length() && text.charAt(at) == ' ') {
                at++;
            }
            boolean belongs = isEnd(at) || at - line > column;
            at = line;
            if (!belongs) {
                break;
            }
        } while (at < text.length());
        at = end;
        return text.substring(start, end);
    }

    // --- brackets, braces, quotes -------------------------------------------------------------------------------------

    private Object flow() {
        deeper();
        Object value = switch (at < text.length() ? text.charAt(at) : 0) {
            case '[' -> {
                List<Object> elements = new ArrayList<>();
                at++;
                while (!closes(']', elements.isEmpty())) {
                    elements.add(flow());
                }
                yield elements;
            }
            case '{' -> {
                Map<String, Object> members = new LinkedHashMap<>();
                at++;
                while (!closes('}', members.isEmpty())) {
                    String key = flowKey();
                    skipFlowSpace();
                    boolean empty = at < text.length() && FLOW.indexOf(text.charAt(at)) >= 0 && text.charAt(at) != '[' && text.charAt(at) != '{';
                    if (members.containsKey(key)) {
                        throw wrong("the key " + Json.quote(key) + " is there twice");
                    }
                    members.put(key, empty ? null : flow());
                }
                yield members;
            }
            case '"', '\'' -> quoted();
            default -> resolved(flowPlain());
        };
        depth--;
        return value;
    }

    /** Whether the list or mapping ends here; else what comes is its next member. */
    private boolean closes(char bracket, boolean first) {
        skipFlowSpace();
        if (!first && at < text.length() && text.charAt(at) == ',') {
            at++;
            skipFlowSpace();
        } else if (!first && (at >= text.length() || text.charAt(at) != bracket)) {
            throw wrong("a comma or '" + bracket + "' is expected before '" + shown() + "'");
        }
        if (at >= text.length()) {
            throw wrong("a '" + bracket + "' is missing");
        }
        boolean closed = text.charAt(at) == bracket;
        at += closed ? 1 : 0;
        return closed;
    }

    private String flowKey() {
        char first = text.charAt(at);
        String key = first == '"' || first == '\'' ? quoted() : flowPlain();
        skipFlowSpace();
        if (at >= text.length() || text.charAt(at) != ':') {
            throw wrong("a colon is expected behind the key " + Json.quote(key));
        }
        at++;
        return key;
    }

    private String flowPlain() {
        int start = at;
        while (!isEnd(at) && FLOW.indexOf(text.charAt(at)) < 0 && !atLineEnd()
                && !(text.charAt(at) == ':' && (isEnd(at + 1) || isSpace(text.charAt(at + 1)) || FLOW.indexOf(text.charAt(at + 1)) >= 0))) {
            at++;
        }
        if (at == start) {
            throw wrong("not understood from '" + shown() + "' on");
        }
        return text.substring(start, at).strip();
    }

    private void skipFlowSpace() {
        skipSpaces();
        while (at < text.length() && atLineEnd()) {
            skipLine();
            skipSpaces();
        }
    }

    private String quoted() {
        char quote = text.charAt(at);
        StringBuilder value = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c == quote && quote == '\'' && at + 1 < text.length() && text.charAt(at + 1) == quote) {
                at++;
            } else if (c == quote) {
                at++;
                return value.toString();
            } else if (c == '\\' && quote == '"' && at + 1 < text.length() && (text.charAt(at + 1) == '"' || text.charAt(at + 1) == '\\')) {
                c = text.charAt(++at);
            }
            value.append(c);
        }
        throw wrong("a closing " + quote + " is missing");
    }

    // --- values -----------------------------------------------------------------------------------------------------

    private static Object resolved(String plain) {
        return switch (plain) {
            case "", "~", "null", "Null", "NULL" -> null;
            case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON" -> true;
            case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF" -> false;
            default -> INTEGER.matcher(plain).matches() ? (Object) Long.valueOf(plain.replace("_", "").replace("+", ""))
                    // A leading zero makes it octal for some.
                    : NUMBER.matcher(plain).matches() && !plain.matches("[-+]?0[0-9_]+") ? (Object) Double.valueOf(plain.replace("_", "")) : plain;
        };
    }

    private void deeper() {
        if (++depth > MAX_DEPTH) {
            throw wrong("it is nested more than " + MAX_DEPTH + " levels deep");
        }
    }

    private String shown() {
        int end = at;
        while (!isEnd(end) && end < at + 40) {
            end++;
        }
        return text.substring(Math.min(at, text.length()), end).strip();
    }

    private WeightException wrong(String problem) {
        long line = text.substring(0, Math.min(at, text.length())).chars().filter(c -> c == '\n').count() + 1;
        return new WeightException(name + ", line " + line + ": " + problem);
    }
}
