package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;

/** A process for {@link FakeLibrariesTest} in which the libraries' calls fail one after the other; prints the sentences. */
final class FailingLibraries {
    private static final Dnn.Shape SHAPE = new Dnn.Shape(DataType.FLOAT16, 1, 8, 8, 16, 16, 3, 3, 1, 1, true);

    private FailingLibraries() {
    }

    /** @param arguments {@code blas} or {@code dnn} */
    public static void main(String[] arguments) throws Throwable {
        FakeDriver driver = new FakeDriver(13000);
        CudaLibraries libraries = CudaLibraries.open(driver);
        if (arguments[0].equals("blas")) {
            products(libraries.blas());
        } else {
            convolutions(driver, libraries.dnn());
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

    private static void convolutions(FakeDriver driver, Dnn dnn) throws Throwable {
        CudaDriver.Stream stream = driver.newStream();
        tryAll("all well", dnn, stream);
        String[] failing = {"FAKE_FINALIZE_17 3003", "FAKE_FINALIZE_4 3000", "FAKE_ATTRIBUTE_202 3000",
            "FAKE_ATTRIBUTE_1303 2000", "FAKE_ATTRIBUTE_1305 2000", "FAKE_ATTRIBUTE_302 2000", "FAKE_FINALIZE_5 4001",
            "FAKE_FINALIZE_16 4000", "FAKE_EXECUTE 5000", "FAKE_FUSED 4004", "FAKE_CUDNN_SET_STREAM 1001"};
        for (String each : failing) {
            String[] parts = each.split(" ");
            setEnvironment(parts[0], Integer.parseInt(parts[1]));
            tryAll(each, dnn, each.contains("STREAM") ? null : stream);
            setEnvironment(parts[0], 0);
        }
        says("INT32 - ", () -> dnn.propose(new Dnn.Shape(DataType.INT32, 1, 8, 8, 16, 16, 3, 3, 1, 1, true)));
        try (Dnn.Proposals<Dnn.Plan> proposals = dnn.propose(SHAPE)) {
            Dnn.Plan plan = proposals.candidates().getFirst().prepare();
            says("", () -> plan.run(1, 2, 3, 0, 5, 6, null));
            plan.close();
        }
    }

    /** Prints what becomes of each candidate that is no last resort. */
    private static void tryAll(String before, Dnn dnn, CudaDriver.Stream stream) {
        List<String> found = new ArrayList<>();
        try (Dnn.Proposals<Dnn.Plan> proposals = dnn.propose(SHAPE)) {
            for (Candidate<Dnn.Plan> candidate : proposals.candidates()) {
                try (Dnn.Plan plan = candidate.isLastResort() ? null : candidate.prepare()) {
                    if (plan != null) {
                        plan.run(0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, stream);
                        found.add(candidate.name());
                    }
                } catch (DeviceException | IllegalArgumentException e) {
                    found.add(candidate.name() + ": " + e.getMessage());
                }
            }
        } catch (DeviceException | IllegalArgumentException e) {
            found.add(e.getMessage());
        }
        System.out.println(before + " - " + String.join(" - ", found));
    }
}
