package io.invadapter.cli;

import io.invadapter.engine.InvalidRequestException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

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

    /** @throws InvalidRequestException when one of the files cannot be written */
    static void writable(List<Path> files) {
        Set<Path> tried = new HashSet<>();
        for (Path file : files) {
            Path folder = file.toAbsolutePath().normalize().getParent();
            if (folder == null || Files.isDirectory(file)) {
                throw new InvalidRequestException(file + ": a folder; expected the name of a file to write");
            }
            if (!Files.isDirectory(folder)) {
                throw new InvalidRequestException(file + ": there is no folder " + folder);
            }
            boolean exists = Files.exists(file);
            if (exists && !Files.isWritable(file)) {
                throw new InvalidRequestException(file + ": is write-protected");
            }
            if (exists && !Files.isRegularFile(file)) {
                continue;
            }
            try {
                Path place = exists ? file.toRealPath().getParent() : folder;
                if (tried.add(place)) {
                    tryToWrite(place);
                }
            } catch (FileSystemException e) {
                throw new InvalidRequestException(file + ": cannot be written: " + (e.getReason() == null ? "no file can be made there" : e.getReason()));
            } catch (IOException e) {
                throw new InvalidRequestException(file + ": cannot be written: " + e.getMessage());
            }
        }
    }

    /** Asking is not enough: some file systems say yes to everything, and a full one still takes empty files. */
    private static void tryToWrite(Path folder) throws IOException {
        Path trial = Files.createTempFile(folder, ".invadapter", ".part");
        try {
            Files.write(trial, new byte[TRIAL_BYTES]);
        } finally {
            Files.delete(trial);
        }
    }
}
