package io.invadapter.kernels.cuda.libraries;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The folders in which NVIDIA's libraries may lie, in the order in which they are searched. Between {@link #named} and
 * {@link #usual} comes what the system's loader finds by itself.
 */
final class LibraryFolders {
    /** A system property, and an environment variable, with folders separated by colons; the property wins. */
    static final String PROPERTY = "invadapter.cuda.libraries";
    static final String VARIABLE = "INVADAPTER_CUDA_LIBRARIES";

    /** Where pip puts them inside a folder of Python packages: {@code nvidia/cudnn/lib}, {@code nvidia/cu13/lib}. */
    private static final String PIP = "nvidia/*/lib";

    private final String named;
    private final Map<String, String> environment;
    private final Path root;

    /** @param root of the file system; for tests another folder */
    LibraryFolders(String property, Map<String, String> environment, Path root) {
        this.named = property != null ? property : environment.get(VARIABLE);
        this.environment = environment;
        this.root = root;
    }

    static LibraryFolders ofThisMachine() {
        return new LibraryFolders(System.getProperty(PROPERTY), System.getenv(), Path.of("/"));
    }

    /** Those that the user names: the option, with what lies inside as toolkits and pip lay it out, then LD_LIBRARY_PATH. */
    List<Path> named() {
        Set<Path> folders = new LinkedHashSet<>();
        for (Path folder : split(named)) {
            folders.add(folder);
            addMatches(folders, folder, "lib64", "lib", "targets/x86_64-linux/lib", PIP, "*/lib",
                    "lib/python3*/site-packages/" + PIP);
        }
        folders.addAll(split(environment.get("LD_LIBRARY_PATH")));
        return existing(folders);
    }

    /** Those that installers use: toolkits, packages of the system, conda, pip. */
    List<Path> usual() {
        Set<Path> folders = new LinkedHashSet<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            split(environment.get(variable)).forEach(home -> addMatches(folders, home, "lib64", "targets/x86_64-linux/lib"));
        }
        addMatches(folders, root, "usr/local/cuda/lib64", "usr/local/cuda*/lib64", "usr/local/cuda*/targets/x86_64-linux/lib",
                "opt/cuda/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib64");
        for (String variable : List.of("CONDA_PREFIX", "VIRTUAL_ENV")) {
            split(environment.get(variable)).forEach(prefix -> addMatches(folders, prefix, "lib", "targets/x86_64-linux/lib",
                    "lib/python3*/site-packages/" + PIP));
        }
        split(environment.get("HOME")).forEach(home -> addMatches(folders, home, ".local/lib/python3*/site-packages/" + PIP));
        addMatches(folders, root, "usr/local/lib/python3*/dist-packages/" + PIP, "usr/local/lib/python3*/site-packages/" + PIP,
                "usr/lib/python3*/site-packages/" + PIP, "usr/lib/python3/dist-packages/" + PIP);
        pythons().forEach(prefix -> addMatches(folders, prefix, "lib/python3*/site-packages/" + PIP,
                "lib/python3*/dist-packages/" + PIP));
        addMatches(folders, root, "opt/*/lib/python3*/site-packages/" + PIP);
        return existing(folders);
    }

    /** Where each {@code python3} of the PATH is installed, as it is named there and as it really is. */
    private Set<Path> pythons() {
        Set<Path> prefixes = new LinkedHashSet<>();
        for (Path folder : split(environment.get("PATH"))) {
            Path python = folder.resolve("python3");
            if (Files.isExecutable(python) && folder.getParent() != null) {
                prefixes.add(folder.getParent());
                try {
                    prefixes.add(python.toRealPath().getParent().getParent());
                } catch (IOException e) {
                    // Gone in between, or not ours to follow: the name alone has to do.
                }
            }
        }
        return prefixes;
    }

    private static List<Path> split(String paths) {
        List<Path> split = new ArrayList<>();
        for (String path : paths == null ? new String[0] : paths.split(":")) {
            if (!path.isBlank()) {
                split.add(Path.of(path.strip()));
            }
        }
        return split;
    }

    private static List<Path> existing(Set<Path> folders) {
        return folders.stream().map(f -> f.toAbsolutePath().normalize()).filter(Files::isDirectory).distinct().toList();
    }

    /** Adds the folders that match; * is anything in one name. Of several the last by name first, so the newest version. */
    private static void addMatches(Set<Path> folders, Path start, String... patterns) {
        for (String pattern : patterns) {
            List<Path> matches = List.of(start);
            for (String name : pattern.split("/")) {
                matches = matches.stream().flatMap(folder -> children(folder, name).stream()).toList();
            }
            folders.addAll(matches);
        }
    }

    private static List<Path> children(Path folder, String name) {
        if (!name.contains("*")) {
            return Files.isDirectory(folder.resolve(name)) ? List.of(folder.resolve(name)) : List.of();
        }
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, name)) {
            List<Path> children = new ArrayList<>();
            stream.forEach(children::add);
            children.sort(Comparator.reverseOrder());
            return children;
        } catch (IOException | UncheckedIOException e) {
            // Not a folder, or not ours to read: nothing is found in it.
            return List.of();
        }
    }
}
