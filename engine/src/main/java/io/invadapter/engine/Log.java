package io.invadapter.engine;

/** What whoever runs a server must know, in one sentence each: the logger {@code io.invadapter} of {@link System.Logger}. */
final class Log {
    private static final System.Logger LOGGER = System.getLogger("io.invadapter");

    private Log() {
    }

    /** Something is amiss, and requests are served less well, or not at all. */
    static void warning(String sentence) {
        LOGGER.log(System.Logger.Level.WARNING, sentence);
    }

    /** Something is well again. */
    static void info(String sentence) {
        LOGGER.log(System.Logger.Level.INFO, sentence);
    }
}
