package io.invadapter.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * How long oneDNN's threads spin before they sleep. GNU's OpenMP spins for tens of milliseconds; when another process wants
 * the same cores, every operator then waits that long for the thread that has none. A short spin still bridges the gap
 * between two operators.
 */
final class ThreadWaiting {
    /** About 50 microseconds. */
    private static final String SPINS = "1000";

    private ThreadWaiting() {
    }

    /** Must come before oneDNN is loaded: its OpenMP reads the environment then. The user's own setting wins. */
    static void shorten() {
        Optional<MemorySegment> setenv = Linker.nativeLinker().defaultLookup().find("setenv");
        if (setenv.isEmpty() || System.getenv("OMP_WAIT_POLICY") != null) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            int ignored = (int) Linker.nativeLinker().downcallHandle(setenv.get(), FunctionDescriptor.of(ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT))
                    .invokeExact(arena.allocateFrom("GOMP_SPINCOUNT"), arena.allocateFrom(SPINS), 0);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
