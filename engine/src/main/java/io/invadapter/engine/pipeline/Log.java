package io.invadapter.engine.pipeline;

import java.util.function.Consumer;

/** What whoever runs a server must know, in one sentence each: the logger {@code io.invadapter} of {@link System.Logger}. */
final class Log {
    private static final System.Logger LOGGER = System.getLogger("io.invadapter");

    private Log() {
    }

    /** {@code notices}, whose failures end nothing: they are told here, with what it did not take. */
    static Consumer<String> guarded(Consumer<String> notices) {
        return sentence -> {
            try {
                notices.accept(sentence);
            } catch (Throwable e) {
                warning(sentence + " (whoever is given the notices failed: " + e + ")");
            }
            // It may leave its interrupt behind; on a device's thread that would close files and mean nobody.
            Thread.interrupted();
        };
    }

    /** Something is amiss, and requests are served less well, or not at all. */
    static void warning(String sentence) {
        log(System.Logger.Level.WARNING, sentence);
    }

    /** Something is well again. */
    static void info(String sentence) {
        log(System.Logger.Level.INFO, sentence);
    }

    private static void log(System.Logger.Level level, String sentence) {
        try {
            LOGGER.log(level, sentence);
        } catch (RuntimeException | Error e) {
            // The application's own logging is broken, and there is nobody else to tell: a device goes on without.
        }
    }
}
