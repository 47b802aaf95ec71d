package io.invadapter.weights.json;

import io.invadapter.weights.WeightException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * Reads JSON (RFC 8259) from UTF-8 bytes, front to back. Strict: no comments, no trailing commas, no duplicate keys, no
 * lone surrogates, no numbers beyond a double, nesting of at most {@value #MAX_DEPTH}. Two things more are read because they are
 * found in configurations: a byte order mark in front, which some editors write, and the values {@code NaN}, {@code Infinity} and
 * {@code -Infinity}, which Python writes. The caller decides what to keep, so that a hostile header of many megabytes costs no
 * more memory than what is kept of it.
 */
public final class JsonReader {

    static final int MAX_DEPTH = 64;
    /** No number anyone means has more characters; parsing a longer one would only cost time. */
    private static final int MAX_NUMBER_LENGTH = 400;
    private static final byte[] BYTE_ORDER_MARK = {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF};

    private final byte[] text;
    private final String name;
    private int at;
    private int depth;

    /** @param name what error messages call the text */
    public JsonReader(byte[] text, String name) {
        this.text = text;
        this.name = name;
        if (text.length >= BYTE_ORDER_MARK.length && Arrays.equals(text, 0, BYTE_ORDER_MARK.length, BYTE_ORDER_MARK, 0, BYTE_ORDER_MARK.length)) {
            at = BYTE_ORDER_MARK.length;
        }
    }

    /** The next character that is not white space, or -1 at the end; it is not consumed. */
    public int peek() {
        while (at < text.length && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) {
            at++;
        }
        return at < text.length ? text[at] & 0xFF : -1;
    }

    /** Checks that nothing but white space is left. */
    public void end() {
        if (peek() != -1) {
            throw expected("the end");
        }
    }

    /** Reads an object: {@code member} is called after each key and must read that key's value. */
    public void object(Consumer<String> member) {
        Set<String> keys = new HashSet<>();
        object(keys::add, member);
    }

    private void object(Predicate<String> isNew, Consumer<String> member) {
        open('{', "an object");
        if (peek() != '}') {
            do {
                peek();
                int keyAt = at;
                String key = string();
                if (!isNew.test(key)) {
                    at = keyAt;
                    throw error("the key " + Json.quote(key) + " occurs twice");
                }
                if (peek() != ':') {
                    throw expected("':'");
                }
                at++;
                member.accept(key);
            } while (comma());
        }
        close('}', "',' or '}'");
    }

    /** Reads an array: {@code element} is called at each element and must read it. */
    public void array(Runnable element) {
        open('[', "an array");
        if (peek() != ']') {
            do {
                element.run();
            } while (comma());
        }
        close(']', "',' or ']'");
    }

    /** Reads any value as Map, List, String, Long, Double, Boolean or null. */
    Object value() {
        return switch (peek()) {
            case '{' -> {
                Map<String, Object> members = new LinkedHashMap<>();
                object(key -> !members.containsKey(key), key -> members.put(key, value()));
                yield Collections.unmodifiableMap(members);
            }
            case '[' -> {
                List<Object> elements = new ArrayList<>();
                array(() -> elements.add(value()));
                yield Collections.unmodifiableList(elements);
            }
            case '"' -> string();
            case 't' -> literal("true", Boolean.TRUE);
            case 'f' -> literal("false", Boolean.FALSE);
            case 'n' -> literal("null", null);
            case 'N' -> literal("NaN", Double.NaN);
            case 'I' -> literal("Infinity", Double.POSITIVE_INFINITY);
            case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' -> number();
            default -> throw expected("a value");
        };
    }

    /** Reads a number: a Long if it is written as an integer and fits, else a Double. */
    public Number number() {
        peek();
        int start = at;
        if (skip('-') && at < text.length && text[at] == 'I') {
            return literal("Infinity", Double.NEGATIVE_INFINITY);
        }
        if (!skip('0')) {
            digits();
        }
        boolean integer = true;
        if (skip('.')) {
            integer = false;
            digits();
        }
        if (skip('e') || skip('E')) {
            integer = false;
            if (!skip('+')) {
                skip('-');
            }
            digits();
        }
        if (at - start > MAX_NUMBER_LENGTH) {
            at = start;
            throw error("a number of more than " + MAX_NUMBER_LENGTH + " characters");
        }
        String number = new String(text, start, at - start, StandardCharsets.ISO_8859_1);
        if (integer) {
            try {
                return Long.valueOf(number);
            } catch (NumberFormatException e) {
                // Too big for a long: kept as a double, as other JSON libraries do.
            }
        }
        double value = Double.parseDouble(number);
        if (Double.isInfinite(value)) {
            at = start;
            throw error("the number " + number + " is too large");
        }
        return value;
    }

    /** Reads a string. */
    public String string() {
        if (peek() != '"') {
            throw expected("a string");
        }
        at++;
        int start = at;
        boolean ascii = true;
        // Escapes are rare: a string is built piece by piece only when it has one.
        StringBuilder pieces = null;
        while (true) {
            if (at == text.length) {
                throw error("a string without an end");
            }
            byte b = text[at];
            if (b == '"') {
                String last = decode(start, at, ascii);
                at++;
                return pieces == null ? last : pieces.append(last).toString();
            }
            if (b == '\\') {
                if (pieces == null) {
                    pieces = new StringBuilder();
                }
                pieces.append(decode(start, at, ascii));
                at++;
                escape(pieces);
                start = at;
                ascii = true;
            } else if (b >= 0 && b < 0x20) {
                throw error("a control character in a string");
            } else {
                ascii &= b >= 0;
                at++;
            }
        }
    }

    /** An error at the present position. */
    WeightException error(String what) {
        int line = 1;
        int lineStart = 0;
        for (int i = 0; i < at; i++) {
            if (text[i] == '\n') {
                line++;
                lineStart = i + 1;
            }
        }
        return new WeightException(name + " is not valid JSON at line " + line + ", column " + (at - lineStart + 1) + ": " + what);
    }

    private WeightException expected(String what) {
        int next = peek();
        String found = next == -1 ? "the end" : next > 0x20 && next < 0x7F ? "'" + (char) next + "'" : String.format("byte 0x%02x", next);
        return error("expected " + what + " but found " + found);
    }

    private void open(char bracket, String what) {
        if (peek() != bracket) {
            throw expected(what);
        }
        if (++depth > MAX_DEPTH) {
            throw error("nested deeper than " + MAX_DEPTH + " levels");
        }
        at++;
    }

    private void close(char bracket, String what) {
        if (peek() != bracket) {
            throw expected(what);
        }
        depth--;
        at++;
    }

    private boolean comma() {
        peek();
        return skip(',');
    }

    private boolean skip(char c) {
        if (at < text.length && text[at] == c) {
            at++;
            return true;
        }
        return false;
    }

    private void digits() {
        int start = at;
        while (at < text.length && text[at] >= '0' && text[at] <= '9') {
            at++;
        }
        if (at == start) {
            throw error("expected a digit");
        }
    }

    private <T> T literal(String word, T value) {
        for (int i = 0; i < word.length(); i++) {
            if (!skip(word.charAt(i))) {
                throw error("expected " + word);
            }
        }
        return value;
    }

    private void escape(StringBuilder pieces) {
        if (at == text.length) {
            throw error("a string without an end");
        }
        switch (text[at++]) {
            case '"' -> pieces.append('"');
            case '\\' -> pieces.append('\\');
            case '/' -> pieces.append('/');
            case 'b' -> pieces.append('\b');
            case 'f' -> pieces.append('\f');
            case 'n' -> pieces.append('\n');
            case 'r' -> pieces.append('\r');
            case 't' -> pieces.append('\t');
            case 'u' -> {
                char first = hex();
                pieces.append(first);
                if (Character.isHighSurrogate(first)) {
                    char second = skip('\\') && skip('u') ? hex() : 0;
                    if (!Character.isLowSurrogate(second)) {
                        throw error("half a surrogate pair");
                    }
                    pieces.append(second);
                } else if (Character.isLowSurrogate(first)) {
                    throw error("half a surrogate pair");
                }
            }
            default -> {
                at--;
                throw error("an unknown escape in a string");
            }
        }
    }

    private char hex() {
        int value = 0;
        for (int i = 0; i < 4; i++) {
            int digit = at < text.length ? Character.digit((char) (text[at] & 0xFF), 16) : -1;
            if (digit < 0) {
                throw error("expected four hexadecimal digits");
            }
            value = value << 4 | digit;
            at++;
        }
        return (char) value;
    }

    private String decode(int from, int to, boolean ascii) {
        if (ascii) {
            return new String(text, from, to - from, StandardCharsets.ISO_8859_1);
        }
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text, from, to - from)).toString();
        } catch (CharacterCodingException e) {
            at = from;
            throw error("a string that is not valid UTF-8");
        }
    }
}
