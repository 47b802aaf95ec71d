package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.cuda.driver.CudaException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A shared library that is loaded for as long as the program runs. Once it is, every library that was linked against its name
 * is satisfied with it, wherever it lies: JCuda's native libraries name cuBLAS and cuDNN but do not say where they are.
 */
public final class SharedLibrary {
    private static final int RTLD_LAZY = 0x1;
    private static final int RTLD_NOW = 0x2;
    private static final int RTLD_GLOBAL = 0x100;

    private static final Linker LINKER = Linker.nativeLinker();

    private final String name;
    private final String path;
    private final SymbolLookup symbols;

    private SharedLibrary(String name, String path, SymbolLookup symbols) {
        this.name = name;
        this.path = path;
        this.symbols = symbols;
    }

    /** The system's loader could not load a library; the message is the loader's. */
    public static final class NotLoadedException extends Exception {
        private static final long serialVersionUID = 1L;

        NotLoadedException(String message) {
            super(message);
        }
    }

    /**
     * Loads a library.
     *
     * @param location a path, or a bare name, which the system's loader then looks for
     * @throws CudaException when nothing can be loaded at all
     */
    public static SharedLibrary load(String location) throws NotLoadedException {
        open(location, RTLD_NOW | RTLD_GLOBAL);
        String name = location.substring(location.lastIndexOf('/') + 1);
        // The second loading of the same library only counts up.
        return new SharedLibrary(name, location.equals(name) ? mapped(name) : location,
                location.equals(name) ? SymbolLookup.libraryLookup(name, Arena.global())
                        : SymbolLookup.libraryLookup(Path.of(location), Arena.global()));
    }

    /** Loads a library that only others will call, as they would: its names satisfy nobody else. */
    static void tryOut(String location) throws NotLoadedException {
        open(location, RTLD_LAZY);
    }

    private static void open(String location, int mode) throws NotLoadedException {
        if (location.contains("/")) {
            LibraryFile.requireWhole(Path.of(location));
        }
        try (Arena arena = Arena.ofConfined()) {
            MethodHandle open = standard("dlopen",
                    FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
            MethodHandle error = standard("dlerror", FunctionDescriptor.of(ValueLayout.ADDRESS));
            MemorySegment text = arena.allocateFrom(location);
            // Nothing may come between: the JVM's own use of the loader takes the message away.
            MemorySegment reason = call(() -> {
                MemorySegment earlier = (MemorySegment) error.invokeExact();
                return (long) open.invokeExact(text, mode) != 0 ? null : (MemorySegment) error.invokeExact();
            });
            if (reason != null) {
                throw new NotLoadedException(reason.equals(MemorySegment.NULL) ? location + " cannot be loaded"
                        : reason.reinterpret(Long.MAX_VALUE).getString(0));
            }
        }
    }

    static MethodHandle standard(String function, FunctionDescriptor type) {
        // Java finds the C library's functions through a library of its own, which it must be able to open.
        return LINKER.downcallHandle(LINKER.defaultLookup().find(function).orElseThrow(() -> new CudaException(
                "CUDA's libraries cannot be loaded, for Java cannot open its own: if ulimit -n allows few open files, raise it")), type);
    }

    /** Where the system's loader found a library, as the kernel tells. */
    private static String mapped(String name) {
        try {
            String real = null;
            for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
                int start = line.indexOf('/');
                // The file may carry a longer version than the name it is linked by.
                if (start >= 0 && line.substring(line.lastIndexOf('/') + 1).startsWith(name)) {
                    real = line.substring(start);
                }
            }
            return real == null ? name : real;
        } catch (IOException e) {
            return name;
        }
    }

    /** The name other libraries know it by. */
    public String name() {
        return name;
    }

    /** The file, as far as it is known. */
    public String path() {
        return path;
    }

    /**
     * A function of the library.
     *
     * @throws CudaException when it has none of that name: it is of another version, or something else
     */
    public MethodHandle function(String function, FunctionDescriptor type) {
        return LINKER.downcallHandle(symbols.find(function).orElseThrow(
                () -> new CudaException(path + " cannot be used: it has no function " + function)), type);
    }

    /** The {@code invokeExact} of a function in C, which declares every exception and throws none. */
    @FunctionalInterface
    public interface Call<T> {
        /** Calls it. */
        T invoke() throws Throwable;
    }

    /** Calls a function in C. */
    public static <T> T call(Call<T> call) {
        try {
            return call.invoke();
        } catch (Throwable e) {
            throw new IllegalStateException("a function in C cannot be called", e);
        }
    }
}
