package io.invadapter.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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

    /** Sets a variable of this process's environment, where the C library has setenv: not on Windows. */
    private static void set(String variable, String value) {
        Optional<MemorySegment> setenv = Linker.nativeLinker().defaultLookup().find("setenv");
        if (setenv.isEmpty()) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            int ignored = (int) Linker.nativeLinker().downcallHandle(setenv.get(), FunctionDescriptor.of(ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT))
                    .invokeExact(arena.allocateFrom(variable), arena.allocateFrom(value), 1);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
