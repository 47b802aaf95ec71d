package io.invadapter.base;

/** How many files a process may have open at a time. */
public final class OpenFiles {
    private OpenFiles() {
    }

    /** Whether this was thrown because the process may open no more: Java says so nowhere but in the system's words. */
    public static boolean areExhausted(Throwable thrown) {
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (String.valueOf(cause.getMessage()).contains("Too many open files")) {
                return true;
            }
        }
        return false;
    }
}
