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

/** Tokens that are found in a text by their spelling, before it is split into words; the longest at each place. */
final class AddedTokens {

    static final AddedTokens NONE = new AddedTokens(List.of(), false);

    /** @param ids what stands in its place */
    private record Token(String spelling, int[] ids) {
    }

    /** The longest first: of alternatives a pattern takes the first that fits. */
    private final List<Token> tokens;
    private final Pattern pattern;

    /** The tokens of a vocabulary, found as they are written. */
    static AddedTokens of(Map<String, Integer> ids) {
        return new AddedTokens(ids.entrySet().stream().map(token -> new Token(token.getKey(), new int[] {token.getValue()})).toList(), false);
    }

    /**
     * Placeholders, found in capitals too; one that is a plain word is not found inside another word.
     *
     * @param firstId of the first one's first vector
     */
    static AddedTokens placeholders(List<TextualInversion> inversions, int firstId) {
        List<Token> tokens = new ArrayList<>();
        int id = firstId;
        for (TextualInversion inversion : inversions) {
            int[] ids = new int[inversion.count()];
            for (int i = 0; i < ids.length; i++) {
                ids[i] = id++;
            }
            tokens.add(new Token(inversion.placeholder(), ids));
        }
        return new AddedTokens(tokens, true);
    }

    private AddedTokens(List<Token> given, boolean placeholders) {
        tokens = given.stream().sorted(Comparator.comparing((Token token) -> token.spelling.length()).reversed()).toList();
        String any = tokens.stream().map(token -> "(" + expression(token.spelling, placeholders) + ")").collect(Collectors.joining("|"));
        pattern = Pattern.compile(any.isEmpty() ? "(?!)" : any, placeholders ? Pattern.CASE_INSENSITIVE | Pattern.UNICODE_CASE : 0);
    }

    private static String expression(String spelling, boolean placeholder) {
        String literal = Pattern.quote(spelling);
        return placeholder && spelling.codePoints().allMatch(Character::isLetter) ? "(?<!\\p{L})" + literal + "(?!\\p{L})" : literal;
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
