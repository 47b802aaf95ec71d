package io.invadapter.engine.text;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What a client should know about a text that is not used as it was probably meant. */
public final class PromptNotices {

    /** What other programs take for instructions: a weight of words, a new chunk of tokens, a network to load. */
    private static final Pattern INSTRUCTION = Pattern.compile(
            "\\([^()]{0,200}:\\s{0,9}[+-]?\\d{0,9}\\.?\\d{1,9}\\s{0,9}\\)|\\bBREAK\\b|<(?:lora|lyco|hypernet):[^<>]{0,200}>");
    private static final int MOST_SHOWN = 60;

    private PromptNotices() {
    }

    /** All of them. @param what the text is; @param encoding what it became; @param tokens for which there was room */
    public static List<String> of(String what, String text, ClipTokenizer.Encoding encoding, int tokens) {
        List<String> notices = new ArrayList<>();
        if (!encoding.cut().isEmpty()) {
            notices.add(cut(what, encoding.cut(), tokens));
        }
        literal(what, text).ifPresent(notices::add);
        return notices;
    }

    /** @param what the text is; @param cut the words for which there was no room */
    static String cut(String what, String cut, int tokens) {
        return "the " + what + " is longer than " + tokens + " tokens; " + cut.codePointCount(0, cut.length())
                + " characters were cut from its end: " + shortened(cut);
    }

    /** Instructions in the text, which are words like any others here. */
    static Optional<String> literal(String what, String text) {
        Set<String> found = new LinkedHashSet<>();
        Matcher matcher = INSTRUCTION.matcher(text);
        while (matcher.find()) {
            found.add(shortened(matcher.group()));
        }
        return found.isEmpty() ? Optional.empty() : Optional.of("the " + what + " is read word for word, "
                + String.join(", ", found.stream().limit(3).toList()) + (found.size() > 3 ? ", …" : "") 
                + " too: weights, BREAK and LoRAs mean nothing in a text");
    }

    private static String shortened(String text) {
        return text.codePointCount(0, text.length()) <= MOST_SHOWN ? text : text.substring(0, text.offsetByCodePoints(0, MOST_SHOWN)) + "…";
    }
}
