package io.invadapter.engine.text;

import java.text.Normalizer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A text as CLIP's tokenizer sees it before it is split into words. */
final class NormalisedText {

    private static final Pattern WHITE_SPACE = Pattern.compile("\\p{IsWhite_Space}+");

    /**
     * Characters for which canonical ordering or composition came after Unicode 9. The original composes by Unicode 9:
     * there they stand for themselves, and nothing moves across them.
     */
    private static final Pattern NEWER_THAN_COMPOSITION = Pattern.compile("[\\x{7FD}\\x{897}-\\x{89F}"
            + "\\x{8CA}-\\x{8D3}\\x{9FE}\\x{C3C}\\x{D3B}\\x{D3C}\\x{EBA}\\x{1715}\\x{1ABF}-\\x{1ACE}"
            + "\\x{1DF6}-\\x{1DFA}\\x{A82C}\\x{105C9}\\x{105D2}\\x{105DA}\\x{105E4}\\x{10D24}-\\x{10D27}"
            + "\\x{10D69}-\\x{10D6D}\\x{10EAB}\\x{10EAC}\\x{10EFD}-\\x{10EFF}\\x{10F46}-\\x{10F50}"
            + "\\x{10F82}-\\x{10F85}\\x{11070}\\x{1133B}\\x{11382}-\\x{11385}\\x{1138B}\\x{1138E}"
            + "\\x{11390}\\x{11391}\\x{113B8}\\x{113BB}\\x{113C2}\\x{113C5}\\x{113C7}-\\x{113C9}"
            + "\\x{113CE}-\\x{113D0}\\x{1145E}\\x{11839}\\x{1183A}\\x{11930}\\x{11935}\\x{11938}"
            + "\\x{1193D}\\x{1193E}\\x{11943}\\x{119E0}\\x{11A34}\\x{11A47}\\x{11A99}\\x{11D42}"
            + "\\x{11D44}\\x{11D45}\\x{11D97}\\x{11F41}\\x{11F42}\\x{1611E}-\\x{16129}\\x{1612F}\\x{16D63}"
            + "\\x{16D67}-\\x{16D6A}\\x{16FF0}\\x{16FF1}\\x{1E08F}\\x{1E130}-\\x{1E136}\\x{1E2AE}"
            + "\\x{1E2EC}-\\x{1E2EF}\\x{1E4EC}-\\x{1E4EF}\\x{1E5EE}\\x{1E5EF}]");

    private NormalisedText() {
    }

    /** Canonical composition, single spaces and lower case. */
    static String of(String text) {
        StringBuilder composed = new StringBuilder(text.length());
        Matcher newer = NEWER_THAN_COMPOSITION.matcher(text);
        int at = 0;
        while (newer.find()) {
            composed.append(Normalizer.normalize(text.substring(at, newer.start()), Normalizer.Form.NFC)).append(newer.group());
            at = newer.end();
        }
        composed.append(Normalizer.normalize(text.substring(at), Normalizer.Form.NFC));
        StringBuilder lower = new StringBuilder(composed.length());
        WHITE_SPACE.matcher(composed).replaceAll(" ").codePoints().forEach(c -> appendLowerCase(lower, c));
        return lower.toString();
    }

    /** Each character by itself: a sigma at the end of a word is no special case, unlike in String.toLowerCase. */
    private static void appendLowerCase(StringBuilder lower, int c) {
        switch (c) {
            // The capital I with a dot keeps the dot; it is the only character that becomes two.
            case 0x130 -> lower.append("i\u0307");
            // Capitals of Unicode 17, newer than Java 25.
            case 0xA7CE, 0xA7D2, 0xA7D4 -> lower.appendCodePoint(c + 1);
            default -> lower.appendCodePoint(c >= 0x16EA0 && c <= 0x16EB8 ? c + 0x1B : Character.toLowerCase(c));
        }
    }
}
