package io.invadapter.engine.text;

/** The vocabulary writes each byte as one visible character. */
final class ByteSymbols {

    private static final String[] SYMBOLS = new String[256];

    static {
        int moved = 0;
        for (int b = 0; b < 256; b++) {
            SYMBOLS[b] = Character.toString(isVisible(b) ? b : 0x100 + moved++);
        }
    }

    /** The bytes that are visible characters of Latin-1 stand for themselves, the others for those from U+0100 on. */
    static boolean isVisible(int b) {
        return b >= '!' && b <= '~' || b >= 0xA1 && b != 0xAD;
    }

    static String of(int b) {
        return SYMBOLS[b];
    }
}
