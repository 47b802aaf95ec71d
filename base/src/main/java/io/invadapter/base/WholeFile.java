package io.invadapter.base;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.util.concurrent.ThreadLocalRandom;

/** Files of which nobody ever sees a half. */
public final class WholeFile {
    private static final int MAX_LINKS = 40;

    private WholeFile() {
    }

    /** What writes a file's content. */
    @FunctionalInterface
    public interface Content {
        void writeTo(FileChannel channel) throws IOException;
    }

    /**
     * Writes a file beside its place, then moves it there. A file of that name, or that a link of that name points to, is replaced
     * and hands on its mode, its owner and its group, the last two as far as this user may set them. What is no file, a pipe or
     * a device, is written to. When writing fails nothing has changed.
     *
     * @throws IOException when it cannot be written
     */
    public static void write(Path file, Content content) throws IOException {
        if (Files.exists(file) && !Files.isRegularFile(file) && !Files.isDirectory(file)) {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                content.writeTo(channel);
            }
            return;
        }
        Path place = place(file);
        Path beside = place.resolveSibling(".invadapter-" + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".part");
        try {
            try (FileChannel channel = FileChannel.open(beside, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                content.writeTo(channel);
            }
            if (Files.isRegularFile(place)) {
                handOn(place, beside);
            }
            Files.move(beside, place, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(beside);
        }
    }

    /**
     * Where the links end, whether there is a file or not.
     *
     * @throws FileSystemLoopException when they go round in a circle, or there are more than 40
     */
    public static Path place(Path file) throws IOException {
        Path place = file;
        for (int links = 0; Files.isSymbolicLink(place); links++) {
            if (links == MAX_LINKS) {
                throw new FileSystemLoopException(file.toString());
            }
            place = place.resolveSibling(Files.readSymbolicLink(place));
        }
        return place;
    }

    private static void handOn(Path former, Path next) {
        PosixFileAttributeView view = Files.getFileAttributeView(next, PosixFileAttributeView.class);
        if (view == null) {
            return;
        }
        try {
            PosixFileAttributes kept = Files.readAttributes(former, PosixFileAttributes.class);
            PosixFileAttributes now = view.readAttributes();
            // The mode last: with another owner the system takes some of it away.
            tryTo(() -> {
                if (!kept.group().equals(now.group())) {
                    view.setGroup(kept.group());
                }
            });
            tryTo(() -> {
                if (!kept.owner().equals(now.owner())) {
                    view.setOwner(kept.owner());
                }
            });
            view.setPermissions(kept.permissions());
        } catch (IOException e) {
            // A file system without modes.
        }
    }

    @FunctionalInterface
    private interface Change {
        void make() throws IOException;
    }

    private static void tryTo(Change change) {
        try {
            change.make();
        } catch (IOException e) {
            // Not for this user.
        }
    }
}
