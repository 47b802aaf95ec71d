package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.cuda.driver.CudaException;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/** Finds and loads NVIDIA's libraries. */
final class LibraryFinder {
    private final LibraryFolders folders;
    private final Supplier<Optional<Path>> bundled;
    private final List<Failure> failures = new ArrayList<>();

    private record Failure(String file, String reason) {
    }

    /** @param bundled the folder of {@link BundledLibraries}, asked for only when it is needed */
    LibraryFinder(LibraryFolders folders, Supplier<Optional<Path>> bundled) {
        this.folders = folders;
        this.bundled = bundled;
    }

    static LibraryFinder ofThisMachine() {
        return new LibraryFinder(LibraryFolders.ofThisMachine(), BundledLibraries::folder);
    }

    /**
     * Loads the first library of that name that can be loaded.
     *
     * @param companions what it needs itself, loaded before it where they lie beside it; * is anything in a name
     */
    Optional<SharedLibrary> find(String name, String... companions) {
        return in(folders.named(), name, companions)
                .or(() -> in(bundled.get().stream().toList(), name, companions))
                .or(() -> known(name))
                .or(() -> in(folders.usual(), name, companions));
    }

    /** What the system's loader finds by itself. */
    private Optional<SharedLibrary> known(String name) {
        Optional<SharedLibrary> library = load(name);
        if (library.isPresent()) {
            try {
                LibraryFile.requireParts(Path.of(library.get().path()));
            } catch (SharedLibrary.NotLoadedException e) {
                // Others that are linked against the name would get this one, even if there were a better one.
                throw new CudaException(e.getMessage(), e);
            }
        }
        return library;
    }

    /** The library of that name in the same folder as another; else what the system's loader has or finds. */
    Optional<SharedLibrary> beside(SharedLibrary other, String name) {
        Path folder = Path.of(other.path()).getParent();
        return in(folder == null ? List.of() : List.of(folder), name).or(() -> load(name));
    }

    /** Why files were not loaded that were there and whose names begin so. */
    List<String> failures(String name) {
        return failures.stream().filter(failure -> failure.file.startsWith(name)).map(Failure::reason).toList();
    }

    private Optional<SharedLibrary> in(List<Path> places, String name, String... companions) {
        for (Path folder : places) {
            if (Files.exists(folder.resolve(name))) {
                for (String companion : companions) {
                    loadAll(folder, companion);
                }
                Optional<SharedLibrary> library = load(folder.resolve(name).toString());
                if (library.isPresent()) {
                    return library;
                }
            }
        }
        return Optional.empty();
    }

    private void loadAll(Path folder, String names) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, names)) {
            files.forEach(file -> load(file.toString()));
        } catch (IOException | DirectoryIteratorException e) {
            // Not ours to read: the loader looks for it by itself.
        }
    }

    private Optional<SharedLibrary> load(String location) {
        try {
            if (location.contains("/")) {
                LibraryFile.requireParts(Path.of(location));
            }
            return Optional.of(SharedLibrary.load(location));
        } catch (SharedLibrary.NotLoadedException e) {
            // That a bare name is unknown is no news.
            if (location.contains("/")) {
                failures.add(new Failure(location.substring(location.lastIndexOf('/') + 1), e.getMessage()));
            }
            return Optional.empty();
        }
    }
}
