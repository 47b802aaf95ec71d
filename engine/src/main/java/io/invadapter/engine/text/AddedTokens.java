package io.invadapter.engine.text;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Tokens that are found in a text by their spelling, before it is split into words; the longest at each place. */
final class AddedTokens {

    /**
     * @param spelling in the texts that are looked through
     * @param ids      what stands in its place
     * @param word     that is not found inside another word
     */
    private record Token(String spelling, int[] ids, boolean word) {
        String expression() {
            return word ? "(?<!\\p{L})" + Pattern.quote(spelling) + "(?!\\p{L})" : Pattern.quote(spelling);
        }
    }

    /** The longest first: of alternatives a pattern takes the first that fits. */
    private final List<Token> tokens;
    private final Pattern pattern;

    private AddedTokens(List<Token> given) {
        tokens = given.stream().sorted(Comparator.comparing((Token token) -> token.spelling.length()).reversed()).toList();
        String any = tokens.stream().map(token -> "(" + token.expression() + ")").collect(Collectors.joining("|"));
        pattern = Pattern.compile(any.isEmpty() ? "(?!)" : any);
    }

    /** The tokens of a vocabulary, found as they are written. */
    static AddedTokens of(Map<String, Integer> ids) {
        return new AddedTokens(ids.entrySet().stream().map(token -> new Token(token.getKey(), new int[] {token.getValue()}, false)).toList());
    }

    /**
     * These, which are of normalised texts, and placeholders.
     *
     * @param firstId of the first one's first vector
     * @param asWords whether one that is a plain word is not found inside another word
     */
    AddedTokens with(List<TextualInversion> placeholders, int firstId, boolean asWords) {
        List<Token> all = new ArrayList<>(tokens);
        int id = firstId;
        for (TextualInversion placeholder : placeholders) {
            String spelling = NormalisedText.of(placeholder.placeholder());
            all.add(new Token(spelling, IntStream.range(id, id + placeholder.count()).toArray(),
                    asWords && spelling.codePoints().allMatch(Character::isLetter)));
            id += placeholder.count();
        }
        return new AddedTokens(all);
    }

    boolean contains(String spelling) {
        return tokens.stream().anyMatch(token -> token.spelling.equals(spelling));
    }

    /** Hands over the tokens, each with its spelling, and the non-empty texts between them, in their order. */
    void split(String text, BiConsumer<String, int[]> token, Consumer<String> between) {
        Matcher matcher = pattern.matcher(text);
        int at = 0;
        while (matcher.find()) {
            if (matcher.start() > at) {
                between.accept(text.substring(at, matcher.start()));
            }
            int found = 0;
            while (matcher.start(found + 1) < 0) {
                found++;
            }
            token.accept(matcher.group(), tokens.get(found).ids);
            at = matcher.end();
        }
        if (at < text.length()) {
            between.accept(text.substring(at));
        }
    }
}
