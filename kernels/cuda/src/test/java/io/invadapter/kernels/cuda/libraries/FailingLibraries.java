package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** A process for {@link FakeLibrariesTest} in which the libraries' calls fail one after the other; prints the sentences. */
final class FailingLibraries {
    private FailingLibraries() {
    }

    /** @param arguments {@code blas} or {@code dnn} */
    public static void main(String[] arguments) throws Throwable {
        FakeDriver driver = new FakeDriver(13000);
        // Three runs of the classic call, three of each engine.
        driver.milliseconds = new float[] {9, 9, 9, 5, 5, 5, 4, 4, 4, 6, 6, 6, 7, 7, 7};
        CudaLibraries libraries = CudaLibraries.open(driver);
        if (arguments[0].equals("blas")) {
            products(libraries.blas());
        } else {
            convolutions(libraries.dnn());
        }
        driver.lost = true;
        libraries.close();
        System.out.println("closed on a lost device");
    }

    /** What the fakes read with getenv. */
    private static void setEnvironment(String name, int value) throws Throwable {
        MethodHandle setenv = Linker.nativeLinker().downcallHandle(Linker.nativeLinker().defaultLookup().findOrThrow("setenv"),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        try (Arena arena = Arena.ofConfined()) {
            int ignored = (int) setenv.invokeExact(arena.allocateFrom(name), arena.allocateFrom(Integer.toString(value)), 1);
        }
    }

    private static void says(String before, Runnable call) {
        try {
            call.run();
        } catch (DeviceException | IllegalArgumentException e) {
            System.out.println(before + e.getMessage());
        }
    }

    private static void products(Blas blas) throws Throwable {
        Blas.Matrix matrix = new Blas.Matrix(0xa000, 11, 12);
        for (int status : new int[] {1, 3, 7, 8, 11, 13, 14, 15, 16, 99}) {
            setEnvironment("FAKE_CUBLAS_GEMM", status);
            says("", () -> blas.multiply(true, false, 2, 3, 4, 1, matrix, matrix, 0, matrix, DataType.FLOAT16, 6, null));
        }
        says("", () -> blas.multiply(true, false, 2, 3, 4, 1, matrix, matrix, 0, matrix, DataType.INT32, 6, null));
    }

    /** One of many. */
    static Dnn.Shape shape(int width) {
        return new Dnn.Shape(DataType.FLOAT16, 1, 8, width, 16, 16, 3, 3, 1, 1, true);
    }

    private static void convolutions(Dnn dnn) throws Throwable {
        System.out.println("all well: " + name(dnn.plan(shape(8), 1 << 20)));
        String[] failing = {"FAKE_FINALIZE_17 3003", "FAKE_FINALIZE_4 3000", "FAKE_ATTRIBUTE_202 3000",
            "FAKE_ATTRIBUTE_1303 2000", "FAKE_FINALIZE_5 4001", "FAKE_GRAPH_WORKSPACE 2000000", "FAKE_FUSED 4004",
            "FAKE_CUDNN_SET_STREAM 1001"};
        for (int i = 0; i < failing.length; i++) {
            String[] parts = failing[i].split(" ");
            Dnn.Shape shape = shape(9 + i);
            setEnvironment(parts[0], Integer.parseInt(parts[1]));
            String before = failing[i] + ": ";
            says(before, () -> System.out.println(before + name(dnn.plan(shape, 1 << 20))));
            setEnvironment(parts[0], parts[0].endsWith("WORKSPACE") ? 2048 : 0);
        }
        setEnvironment("FAKE_GRAPH_WORKSPACE", 2000);
        says("no scratch memory: ", () -> dnn.plan(shape(20), 10));
        says("", () -> dnn.plan(new Dnn.Shape(DataType.INT32, 1, 8, 8, 16, 16, 3, 3, 1, 1, false), 1 << 20));
        says("", () -> dnn.plan(shape(8), 1 << 20).run(1, 2, 3, 0, 5, 6, null));
    }

    private static String name(Dnn.Plan plan) {
        return plan.description().split(",")[0];
    }
}
