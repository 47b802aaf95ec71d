package io.invadapter.engine.text;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** A line of the list of merges; {@code where} is that line in an error message. */
record Merge(String left, String right, Supplier<String> where) {

    String joined() {
        return left + right;
    }

    /** A merge in tokenizer.json: "a b", or a pair in newer files. */
    static Merge read(JsonValue json) {
        return of(json.isList() ? json.asList().stream().map(JsonValue::asString).collect(Collectors.joining(" ")) : json.asString(),
                json::where);
    }

    /** The lines of a {@code merges.txt}. @param name what messages call it */
    static List<Merge> readAll(InputStream in, String name) throws IOException {
        List<Merge> merges = new ArrayList<>();
        // A decoder of its own, because the one that comes with a Charset would replace malformed input silently.
        BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8.newDecoder()));
        int number = 0;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int lineNumber = ++number;
            if (!line.isEmpty() && !line.startsWith("#version")) {
                merges.add(of(line, () -> name + " line " + lineNumber));
            }
        }
        return merges;
    }

    private static Merge of(String symbols, Supplier<String> where) {
        int space = symbols.indexOf(' ');
        if (space <= 0 || space == symbols.length() - 1 || symbols.indexOf(' ', space + 1) >= 0) {
            throw new WeightException(where.get() + " is " + Json.shortened(Json.quote(symbols)) + " where two symbols with a space between are expected");
        }
        return new Merge(symbols.substring(0, space), symbols.substring(space + 1), where);
    }
}
