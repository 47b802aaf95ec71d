package io.invadapter.base;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;

/** Where all modules keep what they unpack, once for each user. */
public final class CacheFolder {
    private static final String NAME = "invadapter";

    private CacheFolder() {
    }

    /**
     * {@code $XDG_CACHE_HOME/invadapter}, as long as that variable is an absolute path, else {@code ~/.cache/invadapter}; without a
     * home where that can be, {@code invadapter-USER} among the temporary files. It need not exist, nor be writable.
     */
    public static Path path() {
        return path(System.getenv("XDG_CACHE_HOME"), System.getProperty("user.home"), Path.of(System.getProperty("java.io.tmpdir")),
                System.getProperty("user.name"));
    }

    static Path path(String xdgCacheHome, String home, Path temporary, String user) {
        return absolute(xdgCacheHome).map(folder -> folder.resolve(NAME))
                .or(() -> absolute(home).map(folder -> folder.resolve(".cache", NAME)).filter(CacheFolder::isUsable))
                .orElse(temporary.resolve(NAME + "-" + user));
    }

    private static Optional<Path> absolute(String path) {
        try {
            return Optional.ofNullable(path).map(Path::of).filter(Path::isAbsolute);
        } catch (InvalidPathException e) {
            // Letters that the process's encoding of file names lacks.
            return Optional.empty();
        }
    }

    /** Whether it is there, who knows how full, or can be made. */
    private static boolean isUsable(Path cache) {
        Path home = cache.getParent().getParent();
        return Files.isDirectory(home)
                && (Files.exists(cache) || Files.isWritable(Files.exists(cache.getParent()) ? cache.getParent() : home));
    }
}
