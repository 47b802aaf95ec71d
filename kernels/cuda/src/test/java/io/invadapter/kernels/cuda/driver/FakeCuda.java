package io.invadapter.kernels.cuda.driver;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;

/** The controls of {@code src/test/c/fake_cuda.c} in a process that has it as its {@code libcuda.so.1}. */
final class FakeCuda {
    private static final SymbolLookup LIBRARY = SymbolLookup.libraryLookup(
            Path.of(System.getProperty("fake.cuda")), Arena.global());

    private FakeCuda() {
    }

    private static Object call(String name, FunctionDescriptor descriptor, Object... arguments) {
        MethodHandle handle = Linker.nativeLinker().downcallHandle(LIBRARY.findOrThrow(name), descriptor);
        try {
            return handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /** The calls since the last question. */
    static List<String> calls() {
        MemorySegment text = (MemorySegment) call("fake_log", FunctionDescriptor.of(ValueLayout.ADDRESS));
        List<String> lines = text.reinterpret(1 << 20).getString(0).lines().toList();
        call("fake_clear", FunctionDescriptor.ofVoid());
        return lines;
    }

    /** These calls were made since the last question and no others. */
    static void called(String... expected) {
        assertEquals(String.join("\n", expected), String.join("\n", calls()));
    }

    /** The next {@code call}, by its name in the C source, answers {@code status} and does nothing. */
    static void fail(String call, int status) {
        try (Arena arena = Arena.ofConfined()) {
            call("fake_fail", FunctionDescriptor.ofVoid(ValueLayout.ADDRESS, ValueLayout.JAVA_INT), arena.allocateFrom(call),
                    status);
        }
    }

    /** Everything answers {@code status} from now on. */
    static void lose(int status) {
        call("fake_lose", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), status);
    }

    /** What driver and GPUs there are. */
    static void device(int version, int devices, int major, int minor) {
        call("fake_device", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT), version, devices, major, minor);
    }
}
