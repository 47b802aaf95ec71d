package io.invadapter.kernels.cuda.ptx;

import java.util.ArrayList;
import java.util.List;

/** Cuts PTX text into tokens; comments, {@code .loc} and {@code .file} lines vanish here. */
final class Lexer {
    /** A word, a number, a string or a single punctuation character, with its place in the text. */
    record Token(String text, int line, int start, int end) { }

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int position;
    private int line = 1;

    private Lexer(String source) {
        this.source = source;
    }

    static List<Token> tokens(String source) {
        Lexer lexer = new Lexer(source);
        lexer.run();
        return lexer.tokens;
    }

    private void run() {
        while (position < source.length()) {
            char c = source.charAt(position);
            if (c == '\n') {
                line++;
                position++;
            } else if (Character.isWhitespace(c)) {
                position++;
            } else if (source.startsWith("//", position)) {
                skipTo("\n");
            } else if (source.startsWith("/*", position)) {
                skipTo("*/");
                position += 2;
            } else if (c == '"') {
                int start = position;
                position++;
                skipTo("\"");
                position++;
                add(start);
            } else if (isWord(c)) {
                word();
            } else {
                position++;
                add(position - 1);
            }
        }
    }

    private void word() {
        int start = position;
        while (position < source.length()) {
            if (isWord(source.charAt(position))) {
                position++;
            } else if (source.startsWith("::", position)) {
                position += 2;
            } else {
                break;
            }
        }
        String word = source.substring(start, position);
        if (word.equals(".loc") || word.equals(".file")) {
            skipTo("\n");
        } else {
            add(start);
        }
    }

    private void add(int start) {
        tokens.add(new Token(source.substring(start, position), line, start, position));
    }

    private void skipTo(String end) {
        while (position < source.length() && !source.startsWith(end, position)) {
            if (source.charAt(position) == '\n') {
                line++;
            }
            position++;
        }
    }

    private static boolean isWord(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '%'
                || c == '.';
    }
}
