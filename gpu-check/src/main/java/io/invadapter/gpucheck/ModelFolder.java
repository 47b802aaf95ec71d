package io.invadapter.gpucheck;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** The small trained model with its golden data, unpacked for this run; from the class path, or from a checkout. */
final class ModelFolder {
    private static final String ARCHIVE = "io/invadapter/bundledmodel/avatar-sd.zip";

    private ModelFolder() {
    }

    /** @param checkouts folders that may be a checkout of the sources */
    static Optional<Path> unpack(List<Path> checkouts) throws IOException {
        Optional<URL> archive = archive(checkouts);
        if (archive.isEmpty()) {
            return Optional.empty();
        }
        Path folder = Files.createTempDirectory("avatar-sd");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
        try (InputStream in = archive.get().openStream(); ZipInputStream zip = new ZipInputStream(in)) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                Path file = folder.resolve(entry.getName()).normalize();
                if (!entry.isDirectory() && file.startsWith(folder)) {
                    Files.createDirectories(file.getParent());
                    Files.copy(zip, file);
                }
            }
        }
        return Optional.of(folder);
    }

    private static Optional<URL> archive(List<Path> checkouts) throws IOException {
        URL bundled = ModelFolder.class.getClassLoader().getResource(ARCHIVE);
        if (bundled != null) {
            return Optional.of(bundled);
        }
        for (Path checkout : checkouts) {
            Path file = checkout.resolve("bundled-model/src/main/resources").resolve(ARCHIVE);
            if (Files.exists(file)) {
                return Optional.of(file.toUri().toURL());
            }
        }
        return Optional.empty();
    }

    private static void delete(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            // What is left over lies in the folder for temporary files.
        }
    }
}
