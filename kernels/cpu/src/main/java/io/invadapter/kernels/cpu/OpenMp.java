package io.invadapter.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;

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

    /** Functions of the OpenMP that oneDNN has been loaded with; {@code null} where it is called otherwise or not there. */
    private static final class Calls {
        static final MethodHandle GET_THREADS = find("omp_get_max_threads", FunctionDescriptor.of(ValueLayout.JAVA_INT));
        static final MethodHandle SET_THREADS = find("omp_set_num_threads", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT));

        private static MethodHandle find(String function, FunctionDescriptor descriptor) {
            Pointer address = Loader.addressof(function);
            return address == null || address.isNull() ? null
                    : Linker.nativeLinker().downcallHandle(MemorySegment.ofAddress(address.address()), descriptor);
        }
    }

    /** Whether {@link #alone} keeps oneDNN to one thread: as far as is known, everywhere. */
    static boolean canBeAlone() {
        return Calls.GET_THREADS != null && Calls.SET_THREADS != null;
    }

    /** Does {@code work} with oneDNN computing on the calling thread alone: for what is divided among threads of our own. */
    static void alone(Runnable work) {
        if (!canBeAlone()) {
            work.run();
            return;
        }
        int before = threads();
        setThreads(1);
        try {
            work.run();
        } finally {
            setThreads(before);
        }
    }

    /** That oneDNN computes with when the calling thread asks it to. */
    static int threads() {
        try {
            return (int) Calls.GET_THREADS.invokeExact();
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void setThreads(int threads) {
        try {
            Calls.SET_THREADS.invokeExact(threads);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
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
