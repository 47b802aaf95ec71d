package io.invadapter.cli;

import io.invadapter.engine.InvalidRequestException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Finds mistakes in paths before any work is done. */
final class Checks {
    private static final int TRIAL_BYTES = 1 << 15;

    private Checks() {
    }

    /** @throws InvalidRequestException when there is nothing of that name */
    static void exists(Path path) {
        if (!Files.exists(path)) {
            throw new InvalidRequestException(path + " does not exist");
        }
    }

    /** @throws InvalidRequestException when {@code file} cannot be written */
    static void writable(Path file) {
        Path folder = file.toAbsolutePath().normalize().getParent();
        if (folder == null || Files.isDirectory(file)) {
            throw new InvalidRequestException(file + ": a folder; expected the name of a file to write");
        }
        if (!Files.isDirectory(folder)) {
            throw new InvalidRequestException(file + ": there is no folder " + folder);
        }
        if (Files.exists(file) && !Files.isWritable(file)) {
            throw new InvalidRequestException(file + ": is write-protected");
        }
        try {
            // Asking is not enough: some file systems say yes to everything, and a full one still takes empty files.
            Path trial = Files.createTempFile(folder, ".invadapter", ".part");
            try {
                Files.write(trial, new byte[TRIAL_BYTES]);
            } finally {
                Files.delete(trial);
            }
        } catch (FileSystemException e) {
            throw new InvalidRequestException(file + ": cannot be written: " + (e.getReason() == null ? "no file can be made there" : e.getReason()));
        } catch (IOException e) {
            throw new InvalidRequestException(file + ": cannot be written: " + e.getMessage());
        }
    }
}
