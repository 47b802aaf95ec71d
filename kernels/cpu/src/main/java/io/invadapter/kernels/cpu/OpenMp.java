package io.invadapter.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** Settings of OpenMP, whose threads oneDNN computes with: it reads them from the environment when it is loaded. */
final class OpenMp {
    static final String THREADS = "OMP_NUM_THREADS";
    /** About 50 microseconds. */
    private static final String SPINS = "1000";

    private OpenMp() {
    }

    /**
     * Must come before oneDNN is loaded. Also makes the threads sleep soon: GNU's OpenMP spins for tens of milliseconds; when
     * another process wants the same cores, every operator then waits that long for the thread that has none. A short spin
     * still bridges the gap between two operators. The user's own setting wins.
     */
    static void set(int threads) {
        set(THREADS, Integer.toString(threads));
        if (System.getenv("OMP_WAIT_POLICY") == null && System.getenv("GOMP_SPINCOUNT") == null) {
            set("GOMP_SPINCOUNT", SPINS);
        }
    }

    /** Sets a variable of this process's environment. */
    private static void set(String variable, String value) {
        Linker linker = Linker.nativeLinker();
        Optional<MemorySegment> setenv = linker.defaultLookup().find("setenv");
        try (Arena arena = Arena.ofConfined()) {
            if (setenv.isPresent()) {
                int ignored = (int) linker.downcallHandle(setenv.get(), FunctionDescriptor.of(ValueLayout.JAVA_INT,
                        ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT))
                        .invokeExact(arena.allocateFrom(variable), arena.allocateFrom(value), 1);
            } else {
                // Windows, whose OpenMP asks the system itself.
                MemorySegment call = SymbolLookup.libraryLookup("kernel32", arena).findOrThrow("SetEnvironmentVariableW");
                int ignored = (int) linker.downcallHandle(call, FunctionDescriptor.of(ValueLayout.JAVA_INT,
                        ValueLayout.ADDRESS, ValueLayout.ADDRESS)).invokeExact(
                        arena.allocateFrom(variable, StandardCharsets.UTF_16LE), arena.allocateFrom(value, StandardCharsets.UTF_16LE));
            }
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
