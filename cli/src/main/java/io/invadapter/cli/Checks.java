package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.base.WholeFile;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
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

    /** @throws InvalidRequestException when a name was not given as it is, so that another file would be written */
    static void decoded(Path name) {
        if (name.toString().indexOf('\uFFFD') >= 0) {
            throw new InvalidRequestException(name + ": this name holds U+FFFD in place of characters that could not be decoded; expected UTF-8, "
                    + "and a UTF-8 locale, e.g. LC_ALL=C.UTF-8");
        }
    }

    /** @throws InvalidRequestException when one of the files cannot be written */
    static void writable(List<Path> files) {
        Set<Path> tried = new HashSet<>();
        for (Path file : files) {
            decoded(file);
            if (Files.isDirectory(file)) {
                throw new InvalidRequestException(file + ": a folder; expected the name of a file to write");
            }
            boolean exists = Files.exists(file);
            if (exists && !Files.isWritable(file)) {
                throw new InvalidRequestException(file + ": is write-protected");
            }
            if (exists && !Files.isRegularFile(file)) {
                continue;
            }
            try {
                Path place = WholeFile.place(file).toAbsolutePath();
                Path folder = place.getParent();
                if (!Files.isDirectory(folder)) {
                    throw new InvalidRequestException(file + ": there is no folder " + folder);
                }
                requireName(place);
                if (tried.add(folder)) {
                    tryToWrite(folder);
                }
            } catch (FileSystemLoopException e) {
                throw new InvalidRequestException(file + ": cannot be written: its symbolic links go round in a circle, or are too many");
            } catch (AccessDeniedException e) {
                throw new InvalidRequestException(file + ": cannot be written: its folder must be writable, for it is written under another "
                        + "name there first");
            } catch (FileSystemException e) {
                throw new InvalidRequestException(file + ": cannot be written: " + (e.getReason() == null ? "no file can be made there" : e.getReason()));
            } catch (IOException e) {
                throw new InvalidRequestException(file + ": cannot be written: " + e.getMessage());
            }
        }
    }

    /** The system says what is wrong with a name, such as its length, when asked about it. */
    private static void requireName(Path place) throws IOException {
        try {
            Files.readAttributes(place, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        } catch (NoSuchFileException e) {
            // It will be made.
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
