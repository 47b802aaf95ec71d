package io.invadapter.kernels.cuda.libraries;

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
    private final List<String> failures = new ArrayList<>();

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
     * @param companions what it needs itself, loaded before it when they lie beside it
     */
    Optional<SharedLibrary> find(String name, String... companions) {
        return in(folders.named(), name, companions)
                .or(() -> in(bundled.get().stream().toList(), name, companions))
                .or(() -> load(name))
                .or(() -> in(folders.usual(), name, companions));
    }

    /** Files that were there but could not be loaded, and why. */
    List<String> failures() {
        return List.copyOf(failures);
    }

    private Optional<SharedLibrary> in(List<Path> places, String name, String... companions) {
        for (Path folder : places) {
            if (Files.exists(folder.resolve(name))) {
                for (String companion : companions) {
                    if (Files.exists(folder.resolve(companion))) {
                        load(folder.resolve(companion).toString());
                    }
                }
                Optional<SharedLibrary> library = load(folder.resolve(name).toString());
                if (library.isPresent()) {
                    return library;
                }
            }
        }
        return Optional.empty();
    }

    private Optional<SharedLibrary> load(String location) {
        try {
            return Optional.of(SharedLibrary.load(location));
        } catch (SharedLibrary.NotLoadedException e) {
            // That a bare name is unknown is no news.
            if (location.contains("/")) {
                failures.add(e.getMessage());
            }
            return Optional.empty();
        }
    }
}
