package io.invadapter.kernels.cuda.libraries;

import io.invadapter.base.CacheFolder;
import io.invadapter.base.TemporaryFolder;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.Optional;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * NVIDIA's libraries in a jar of the class path, which the Maven profile {@code nvidia} brings: unpacked once per user, for
 * only a file can be loaded.
 */
final class BundledLibraries {
    private static final String PACKAGE = "org/bytedeco/cuda/linux-x86_64/";

    /** cuBLAS, cuDNN, and the compiler that cuDNN makes fused kernels with; the jar has four times as much. */
    private static final Pattern NEEDED = Pattern.compile("lib(cublas|cublasLt|cudnn\\w*|nvrtc[\\w-]*)\\.so\\.[\\d.]+");

    private BundledLibraries() {
    }

    /** The folder where they lie unpacked, now or from an earlier run; empty when there never was such a jar. */
    static Optional<Path> folder() {
        URL library = BundledLibraries.class.getClassLoader().getResource(PACKAGE + "libcublas.so.12");
        return library == null ? unpackedBefore(CacheFolder.path()) : Optional.of(unpack(library, CacheFolder.path()));
    }

    /** The newest by name. */
    static Optional<Path> unpackedBefore(Path cache) {
        try (Stream<Path> folders = Files.list(cache)) {
            return folders.filter(f -> f.getFileName().toString().matches("cuda-.*-linux-x86_64-redist"))
                    .max(Comparator.naturalOrder());
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Unpacks the jar that has that entry into a folder of its own name, all or nothing. */
    static Path unpack(URL entry, Path cache) {
        try {
            JarURLConnection connection = (JarURLConnection) entry.openConnection();
            connection.setUseCaches(false);
            try (JarFile jar = connection.getJarFile()) {
                Path folder = cache.resolve(Path.of(jar.getName()).getFileName().toString().replaceFirst("\\.jar$", ""));
                if (!Files.isDirectory(folder)) {
                    unpack(jar, folder);
                }
                return folder;
            }
        } catch (IOException e) {
            throw new CudaException("NVIDIA's libraries cannot be unpacked into " + cache + ", which takes 2 GB: "
                    + e.getMessage() + "; XDG_CACHE_HOME names another place", e);
        }
    }

    private static void unpack(JarFile jar, Path folder) throws IOException {
        Files.createDirectories(folder.getParent());
        Path unfinished = Files.createTempDirectory(folder.getParent(), "unfinished-");
        try {
            for (JarEntry file : (Iterable<JarEntry>) jar.stream()::iterator) {
                String name = file.getName().substring(file.getName().lastIndexOf('/') + 1);
                if (file.getName().equals(PACKAGE + name) && NEEDED.matcher(name).matches()) {
                    try (InputStream in = jar.getInputStream(file)) {
                        Files.copy(in, unfinished.resolve(name));
                    }
                }
            }
            Files.move(unfinished, folder, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            TemporaryFolder.remove(unfinished);
            // Another process was faster: its folder is as good.
            if (!Files.isDirectory(folder)) {
                throw e;
            }
        }
    }
}
