package io.invadapter.base;

import java.io.File;
import java.nio.file.Path;

/** Folders that hold files only while they are needed. */
public final class TemporaryFolder {
    private TemporaryFolder() {
    }

    /** Removes a folder and the files in it, as far as that is possible: on Windows a file that is in use stays. */
    public static void remove(Path folder) {
        File[] files = folder.toFile().listFiles();
        if (files != null) {
            for (File file : files) {
                file.delete();
            }
        }
        folder.toFile().delete();
    }
}
