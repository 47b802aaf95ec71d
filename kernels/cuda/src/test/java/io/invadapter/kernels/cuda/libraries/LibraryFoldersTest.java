package io.invadapter.kernels.cuda.libraries;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.cuda.driver.CudaException;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where libraries are looked for, and how those in a jar get to a folder. */
class LibraryFoldersTest {
    private static final String PACKAGE = "org/bytedeco/cuda/linux-x86_64/";

    @TempDir
    Path root;

    private void folders(String... names) throws IOException {
        for (String name : names) {
            Files.createDirectories(root.resolve(name));
        }
    }

    private List<String> relative(List<Path> paths) {
        return paths.stream().map(p -> root.relativize(p).toString()).toList();
    }

    @Test
    void namedFoldersComeFirstWithWhatLiesInThem() throws IOException {
        folders("venv/lib/python3.12/site-packages/nvidia/cudnn/lib", "toolkit/lib64", "old", "path");
        Map<String, String> environment = Map.of(LibraryFolders.VARIABLE, root + "/venv:" + root + "/toolkit:/missing",
                "LD_LIBRARY_PATH", ":" + root + "/path");
        assertEquals(List.of("venv", "venv/lib", "venv/lib/python3.12/site-packages/nvidia/cudnn/lib", "toolkit",
                "toolkit/lib64", "path"), relative(new LibraryFolders(null, environment, root).named()));
        assertEquals(List.of("old", "path"), relative(new LibraryFolders(root + "/old", environment, root).named()));
    }

    @Test
    void installersFoldersAreKnown() throws IOException {
        folders("usr/local/cuda-12.4/lib64", "usr/local/cuda-13.0/targets/x86_64-linux/lib", "usr/lib/x86_64-linux-gnu",
                "conda/lib", "home/.local/lib/python3.11/site-packages/nvidia/cublas/lib",
                "venv/lib/python3.13/site-packages/nvidia/cu13/lib", "toolkit/lib64", "usr/local/cuda-12.8/lib64");
        Map<String, String> environment = Map.of("CONDA_PREFIX", root + "/conda", "VIRTUAL_ENV", root + "/venv", "HOME",
                root + "/home", "CUDA_HOME", root + "/toolkit");
        assertEquals(List.of("toolkit/lib64", "usr/local/cuda-12.8/lib64", "usr/local/cuda-12.4/lib64",
                "usr/local/cuda-13.0/targets/x86_64-linux/lib", "usr/lib/x86_64-linux-gnu", "conda/lib", "venv/lib",
                "venv/lib/python3.13/site-packages/nvidia/cu13/lib",
                "home/.local/lib/python3.11/site-packages/nvidia/cublas/lib"),
                relative(new LibraryFolders(null, environment, root).usual()));
    }

    @Test
    void pipsFoldersOfThePythonsOnThePathAreKnown() throws IOException {
        folders("env/bin", "env/lib/python3.12/site-packages/nvidia/cublas/lib", "python/bin",
                "python/lib/python3.12/site-packages/nvidia/cudnn/lib", "other/bin",
                "other/lib/python3.12/site-packages/nvidia/cudnn/lib", "opt/conda/lib/python3.11/site-packages/nvidia/cu13/lib");
        Path real = Files.createFile(root.resolve("python/bin/python3.12"));
        assertTrue(real.toFile().setExecutable(true));
        Files.createSymbolicLink(root.resolve("env/bin/python3"), real);
        Map<String, String> environment = Map.of("PATH", root + "/other/bin:" + root + "/env/bin");
        assertEquals(List.of("env/lib/python3.12/site-packages/nvidia/cublas/lib",
                "python/lib/python3.12/site-packages/nvidia/cudnn/lib", "opt/conda/lib/python3.11/site-packages/nvidia/cu13/lib"),
                relative(new LibraryFolders(null, environment, root.toRealPath()).usual()));
    }

    @Test
    void aFileThatIsNoLibraryIsPassedOverAndNamed() throws IOException {
        folders("broken");
        Files.writeString(root.resolve("broken/libinvadapter-test.so.1"), "no library");
        LibraryFinder finder = new LibraryFinder(new LibraryFolders(root + "/broken", Map.of(), root), Optional::empty);
        assertTrue(finder.find("libinvadapter-test.so.1").isEmpty());
        List<String> failures = finder.failures("libinvadapter");
        assertEquals(1, failures.size());
        assertTrue(failures.getFirst().contains(root + "/broken/libinvadapter-test.so.1"), failures.getFirst());
        assertEquals(List.of(), finder.failures("libother"));
    }

    @Test
    void theJarsLibrariesAreUnpackedOnce() throws IOException {
        Path jar = root.resolve("cuda-1.0-linux-x86_64-redist.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            for (String name : List.of("libcublas.so.12", "libcublasLt.so.12", "libcudnn.so.9",
                    "libcudnn_engines_precompiled.so.9", "libnvrtc.so.12", "libnvrtc-builtins.so.12.6", "libcusolver.so.11",
                    "libjnicublas.so")) {
                out.putNextEntry(new JarEntry(PACKAGE + name));
                out.write(name.getBytes());
            }
        }
        Path cache = root.resolve("cache");
        assertEquals(Optional.empty(), BundledLibraries.unpackedBefore(cache));
        URL entry = URI.create("jar:" + jar.toUri() + "!/" + PACKAGE + "libcublas.so.12").toURL();
        Path folder = BundledLibraries.unpack(entry, cache);
        assertEquals(cache.resolve("cuda-1.0-linux-x86_64-redist"), folder);
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of("libcublas.so.12", "libcublasLt.so.12", "libcudnn.so.9", "libcudnn_engines_precompiled.so.9",
                    "libnvrtc-builtins.so.12.6", "libnvrtc.so.12"),
                    files.map(f -> f.getFileName().toString()).sorted().toList());
        }
        Files.delete(folder.resolve("libcudnn.so.9"));
        assertEquals(folder, BundledLibraries.unpack(entry, cache));
        assertFalse(Files.exists(folder.resolve("libcudnn.so.9")), "unpacked again");
        assertEquals(Optional.of(folder), BundledLibraries.unpackedBefore(cache));
        try (Stream<Path> files = Files.list(cache)) {
            assertEquals(1, files.count());
        }
    }

    @Test
    void aPlaceThatCannotTakeTheJarsLibrariesIsNamed() throws IOException {
        Path jar = root.resolve("cuda-1.0-linux-x86_64-redist.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            out.putNextEntry(new JarEntry(PACKAGE + "libcublas.so.12"));
            out.write(1);
        }
        URL entry = URI.create("jar:" + jar.toUri() + "!/" + PACKAGE + "libcublas.so.12").toURL();
        folders("cache");
        Path inTheWay = Files.createFile(root.resolve("cache/cuda-1.0-linux-x86_64-redist"));
        String message = assertThrows(CudaException.class, () -> BundledLibraries.unpack(entry, root.resolve("cache"))).getMessage();
        assertTrue(message.startsWith("NVIDIA's libraries cannot be unpacked into " + root + "/cache, which takes 2 GB: ")
                && message.endsWith("; XDG_CACHE_HOME names another place"), message);
        try (Stream<Path> files = Files.list(root.resolve("cache"))) {
            assertEquals(List.of(inTheWay), files.toList(), "nothing unfinished is left");
        }
    }

    @Test
    void whatTheSystemFindsItselfIsNamedByItsFile() throws Exception {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "shared libraries are found otherwise there");
        SharedLibrary library = SharedLibrary.load("libm.so.6");
        assertEquals("libm.so.6", library.name());
        assertTrue(library.path().startsWith("/") && Path.of(library.path()).getFileName().toString().startsWith("libm"),
                library.path());
        MethodHandle floor = library.function("floor", FunctionDescriptor.of(ValueLayout.JAVA_DOUBLE, ValueLayout.JAVA_DOUBLE));
        assertEquals(2.0, SharedLibrary.call(() -> (double) floor.invokeExact(2.5)));
        assertEquals(library.path() + " cannot be used: it has no function none", assertThrows(CudaException.class,
                () -> library.function("none", FunctionDescriptor.ofVoid())).getMessage());
    }

    @Test
    void aSystemThatLoadsNothingIsOneSentence() {
        String message = assertThrows(CudaException.class,
                () -> SharedLibrary.standard("no_such_function", FunctionDescriptor.of(ValueLayout.JAVA_LONG))).getMessage();
        assertEquals("CUDA's libraries cannot be loaded, for Java cannot open its own: if ulimit -n allows few open files, raise it",
                message);
    }
}
