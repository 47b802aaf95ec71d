package io.invadapter.engine.text;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What a client should know about a text that is not used as it was probably meant. */
final class PromptNotices {

    private static final String NETWORK = "<(?:lora|lyco|hypernet):[^<>]{0,200}>";
    /** What means nothing in a text that is read word for word: a weight of words, a new chunk of tokens, a network to load. */
    private static final Pattern INSTRUCTION = Pattern.compile(
            "\\([^()]{0,200}:\\s{0,9}[+-]?\\d{0,9}\\.?\\d{1,9}\\s{0,9}\\)|\\bBREAK\\b|" + NETWORK);
    /** What means something to webui and nothing here: other words from a step on, words in turn, several prompts, a network to load. */
    private static final Pattern NOT_UNDERSTOOD = Pattern.compile(
            "(?<!\\\\)\\[[^\\[\\]]{0,200}(?::\\s{0,9}\\d{0,9}\\.?\\d{1,9}\\s{0,9}|\\|[^\\[\\]]{0,200})\\]|\\bAND\\b|" + NETWORK);
    private static final int MOST_SHOWN = 60;

    private PromptNotices() {
    }

    /** Of a text that is read word for word. @param what it is; @param encoding what it became; @param tokens for which there was room */
    static List<String> plain(String what, String text, ClipTokenizer.Encoding encoding, int tokens) {
        List<String> notices = new ArrayList<>();
        if (!encoding.cut().isEmpty()) {
            notices.add(cut(what, encoding.cut(), tokens));
        }
        found(INSTRUCTION, text).ifPresent(words -> notices.add("the " + what + " is read word for word, " + words
                + " too: weights, BREAK and LoRAs mean nothing in a text"));
        return notices;
    }

    /** Of a text whose weights and BREAKs are understood. */
    static List<String> weighted(String what, String text) {
        return found(NOT_UNDERSTOOD, text).map(words -> "in the " + what + " " + words
                + " is text: [from:to:when], [one|other], AND and LoRAs mean nothing in it").stream().toList();
    }

    /** @param what the text is; @param cut the words for which there was no room */
    static String cut(String what, String cut, int tokens) {
        return "the " + what + " is longer than " + tokens + " tokens; " + cut.codePointCount(0, cut.length())
                + " characters were cut from its end: " + shortened(cut);
    }

    private static Optional<String> found(Pattern pattern, String text) {
        Set<String> found = new LinkedHashSet<>();
        Matcher matcher = pattern.matcher(text);
        while (matcher.find()) {
            found.add(shortened(matcher.group()));
        }
        return found.isEmpty() ? Optional.empty()
                : Optional.of(String.join(", ", found.stream().limit(3).toList()) + (found.size() > 3 ? ", …" : ""));
    }

    private static String shortened(String text) {
        return text.codePointCount(0, text.length()) <= MOST_SHOWN ? text : text.substring(0, text.offsetByCodePoints(0, MOST_SHOWN)) + "…";
    }
}
