package io.invadapter.kernels.cpu;

import io.invadapter.base.CacheFolder;
import io.invadapter.base.OpenFiles;
import io.invadapter.kernels.DeviceException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;

/**
 * Loads oneDNN. JavaCPP unpacks it from its jar, 91 MB, and keeps it for the next process: in {@code native} of the {@link
 * CacheFolder}.
 */
final class NativeLibraries {
    private static final String CACHE_FOLDER = "org.bytedeco.javacpp.cachedir";
    private static final String PHYSICAL_MEMORY = "org.bytedeco.javacpp.maxPhysicalBytes";
    /** What the unpacked libraries take on disk. */
    private static final long UNPACKED_BYTES = 96L << 20;

    private static boolean loaded;

    private NativeLibraries() {
    }

    /**
     * Must come before the first use of JavaCPP and oneDNN.
     *
     * @throws DeviceException when the libraries cannot be unpacked or loaded
     */
    static synchronized void load() {
        if (loaded) {
            return;
        }
        expectInstructions(System.getProperty("os.arch"), Path.of("/proc/cpuinfo"));
        // JavaCPP forbids a process, models and all, to be larger than four Java heaps; NativeMemory has limits of its own.
        setDefault(PHYSICAL_MEMORY, "0");
        if (System.getProperty("org.bytedeco.javacpp.cacheDir") == null) {
            setDefault(CACHE_FOLDER, CacheFolder.path().resolve("native").toAbsolutePath().toString());
        }
        OpenMp.set(Threads.count());
        Path folder = Path.of(System.getProperty(CACHE_FOLDER, System.getProperty("org.bytedeco.javacpp.cacheDir", "")));
        try {
            Files.createDirectories(folder);
            Loader.load(org.bytedeco.dnnl.global.dnnl.class);
            loaded = true;
        } catch (IOException | LinkageError e) {
            throw new DeviceException(reason(folder, e), e);
        }
    }

    /**
     * The compiler put SSE 4.1 all over oneDNN for x86-64: loading it would end the process on a processor without.
     *
     * @param processors Linux's list of them; elsewhere it is not there, and nothing is known
     */
    static void expectInstructions(String architecture, Path processors) {
        if (!architecture.equals("amd64")) {
            return;
        }
        try (Stream<String> lines = Files.lines(processors)) {
            Optional<String> flags = lines.filter(line -> line.startsWith("flags")).findFirst();
            if (flags.isPresent() && !List.of(flags.get().split("\\s+")).contains("sse4_1")) {
                throw new DeviceException("oneDNN needs a processor with SSE 4.1, and this one has none");
            }
        } catch (IOException | UncheckedIOException e) {
            // Not Linux.
        }
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }

    static String reason(Path folder, Throwable e) {
        if (OpenFiles.areExhausted(e)) {
            return "oneDNN cannot be loaded, for this process may open no more files: raise ulimit -n";
        }
        String advice = "; set XDG_CACHE_HOME, or Java's property " + CACHE_FOLDER + ", to the full path of a folder with 100 MB to spare";
        if (e instanceof IOException || !Files.isWritable(folder)) {
            return folder + ": oneDNN cannot be unpacked here, for the folder cannot be written" + advice;
        }
        if (isFull(folder)) {
            return folder + ": oneDNN cannot be unpacked here, for the disk is full" + advice;
        }
        // JavaCPP first loads the file that it has unpacked, then looks elsewhere; what was wrong with the file is the cause.
        Throwable cause = e;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        String message = String.valueOf(cause.getMessage()).lines().findFirst().orElse("");
        if (message.contains("failed to map segment") && new MemoryLimits().addresses().isPresent()) {
            return "out of memory: oneDNN cannot be loaded, for ulimit -v leaves too little room: "
                    + "raise it, or give Java less (-Xmx)";
        }
        return "oneDNN for " + Loader.getPlatform() + " cannot be loaded: " + message;
    }

    private static boolean isFull(Path folder) {
        try {
            return Files.getFileStore(folder).getUsableSpace() < UNPACKED_BYTES;
        } catch (IOException e) {
            return false;
        }
    }
}
