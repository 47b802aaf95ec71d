package io.invadapter.cli;

import java.util.function.Consumer;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** What the library logs for whoever runs it becomes the command's own notices. */
final class Notices extends Handler {
    /** Held: the logging of Java forgets loggers that nobody holds. */
    private static final Logger LIBRARY = Logger.getLogger("io.invadapter");

    private final Consumer<String> warn;

    private Notices(Consumer<String> warn) {
        this.warn = warn;
    }

    /** From now on, in place of what was before. */
    static void to(Consumer<String> warn) {
        LIBRARY.setUseParentHandlers(false);
        for (Handler former : LIBRARY.getHandlers()) {
            LIBRARY.removeHandler(former);
        }
        LIBRARY.addHandler(new Notices(warn));
    }

    @Override
    public void publish(LogRecord record) {
        if (isLoggable(record)) {
            warn.accept(record.getMessage());
        }
    }

    @Override
    public void flush() {
        // Nothing is held back.
    }

    @Override
    public void close() {
        // Nothing is open.
    }
}
