package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A text with a prompt on each line, in UTF-8, with or without a byte order mark; empty lines are none. */
final class PromptFile {
    private static final String BYTE_ORDER_MARK = "\uFEFF";
    /** What programs write in place of characters that they could not read. */
    private static final char LOST = '\uFFFD';

    private PromptFile() {
    }

    /**
     * @param file {@code -}: standard input
     * @throws InvalidRequestException when it is no such text, or there is no prompt in it
     */
    static List<String> read(Path file) throws IOException {
        if (file.toString().equals("-")) {
            return prompts("the standard input", System.in.readAllBytes());
        }
        Checks.exists(file);
        if (Files.isDirectory(file)) {
            throw new InvalidRequestException("--prompts " + file + ": this is a folder; expected a text with a prompt on each line");
        }
        return prompts("--prompts " + file, Files.readAllBytes(file));
    }

    /** @param name of what the bytes are from, for messages */
    private static List<String> prompts(String name, byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        CharBuffer out = CharBuffer.allocate(bytes.length);
        CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
        boolean understood = !decoder.decode(in, out, true).isError();
        String text = out.flip().toString();
        if (!understood) {
            throw new InvalidRequestException(name + ": line " + line(text, text.length()) + " is not UTF-8");
        }
        if (text.indexOf('\0') >= 0) {
            throw new InvalidRequestException(name + ": line " + line(text, text.indexOf('\0')) + " holds a zero byte; expected a text in UTF-8");
        }
        if (text.indexOf(LOST) >= 0) {
            throw new InvalidRequestException(name + ": line " + line(text, text.indexOf(LOST)) + " holds U+FFFD in place of characters that "
                    + "were lost when the text was written; write it anew in UTF-8");
        }
        List<String> lines = text.replace(BYTE_ORDER_MARK, "").lines().map(String::strip).filter(line -> !line.isEmpty()).toList();
        if (lines.isEmpty()) {
            throw new InvalidRequestException(name + ": there is no prompt in it");
        }
        return lines;
    }

    private static long line(String text, int position) {
        return text.substring(0, position).lines().count() + (position == 0 || isLineEnd(text.charAt(position - 1)) ? 1 : 0);
    }

    private static boolean isLineEnd(char c) {
        return c == '\n' || c == '\r';
    }
}
