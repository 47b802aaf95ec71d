package io.invadapter.engine.text;

import io.invadapter.base.InvalidRequestException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Weights and divisions in a prompt, as stable-diffusion-webui has them: {@code (word)} weighs 1.1 times as much, {@code (word:1.3)} 1.3
 * times, {@code [word]} 1/1.1 times, one inside another the product; brackets that are not closed reach to the end, and those that
 * are not opened are text. A backslash makes a bracket, or a backslash, text; before anything else it is nothing. The word BREAK ends a
 * chunk, inside brackets too (where webui takes it for a word of negative weight).
 */
final class PromptSyntax {
    private static final double MORE = 1.1;
    private static final double LESS = 1 / 1.1;
    /** Nobody means more; it keeps the time that a text takes in proportion to its length. */
    private static final int MOST_OPEN = 100;
    private static final double MOST_WEIGHT = 1000;

    private static final Pattern PIECE = Pattern.compile("\\\\[()\\[\\]\\\\]?+|[(\\[\\])]|:\\s*+([+-]?(?:\\d++\\.?\\d*+|\\.\\d++))\\s*+\\)|[^\\\\()\\[\\]:]++|:");
    private static final Pattern BREAK = Pattern.compile("\\bBREAK\\b", Pattern.UNICODE_CHARACTER_CLASS);

    /** A piece of a prompt. @param isBreak whether it is none, but the end of a chunk */
    record Span(String text, double weight, boolean isBreak) {
    }

    private final String what;
    private final List<String> texts = new ArrayList<>();
    /** {@code null} at a BREAK. */
    private final List<Double> weights = new ArrayList<>();
    /** Where what is inside brackets begins, the innermost last. */
    private final Deque<Integer> round = new ArrayDeque<>();
    private final Deque<Integer> square = new ArrayDeque<>();

    private PromptSyntax(String what) {
        this.what = what;
    }

    /**
     * The pieces of a prompt, neighbours of the same weight joined; none for an empty one.
     *
     * @param what the text is, for messages
     * @throws InvalidRequestException when brackets are nested too deep or a weight is too large
     */
    static List<Span> parse(String what, String text) {
        PromptSyntax syntax = new PromptSyntax(what);
        Matcher piece = PIECE.matcher(text);
        while (piece.find()) {
            syntax.read(piece.group(), piece.group(1));
        }
        syntax.round.descendingIterator().forEachRemaining(from -> syntax.multiply(from, MORE));
        syntax.square.descendingIterator().forEachRemaining(from -> syntax.multiply(from, LESS));
        return syntax.spans();
    }

    private void read(String piece, String weight) {
        if (piece.startsWith("\\")) {
            add(piece.substring(1));
        } else if (piece.equals("(")) {
            open(round);
        } else if (piece.equals("[")) {
            open(square);
        } else if (weight != null && !round.isEmpty()) {
            multiply(round.pop(), Double.parseDouble(weight));
        } else if (piece.equals(")") && !round.isEmpty()) {
            multiply(round.pop(), MORE);
        } else if (piece.equals("]") && !square.isEmpty()) {
            multiply(square.pop(), LESS);
        } else {
            String[] parts = BREAK.split(piece, -1);
            for (int i = 0; i < parts.length; i++) {
                if (i > 0) {
                    texts.add("");
                    weights.add(null);
                }
                add(parts[i]);
            }
        }
    }

    private void add(String text) {
        texts.add(text);
        weights.add(1.0);
    }

    private void open(Deque<Integer> brackets) {
        if (round.size() + square.size() == MOST_OPEN) {
            throw new InvalidRequestException("the " + what + " has more than " + MOST_OPEN + " brackets inside one another");
        }
        brackets.push(texts.size());
    }

    private void multiply(int from, double factor) {
        for (int i = from; i < weights.size(); i++) {
            if (weights.get(i) != null) {
                weights.set(i, weights.get(i) * factor);
            }
        }
    }

    private List<Span> spans() {
        List<Span> spans = new ArrayList<>();
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < texts.size(); i++) {
            text.append(texts.get(i));
            Double weight = weights.get(i);
            if (weight != null && !(Math.abs(weight) <= MOST_WEIGHT)) {
                throw new InvalidRequestException("the " + what + " gives a word the weight " + weight.floatValue() + "; expected at most "
                        + (int) MOST_WEIGHT);
            }
            boolean joined = i + 1 < texts.size() && weight != null && weight.equals(weights.get(i + 1));
            if (!joined) {
                spans.add(new Span(text.toString(), weight == null ? 1 : weight, weight == null));
                text.setLength(0);
            }
        }
        return spans;
    }
}
