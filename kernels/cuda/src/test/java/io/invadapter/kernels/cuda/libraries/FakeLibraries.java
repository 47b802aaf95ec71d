package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A process of its own for {@link FakeLibrariesTest}, because a library stays loaded: uses cuBLAS and cuDNN as they are found
 * and prints what they are and which sentence it fails with.
 */
final class FakeLibraries {
    static final Dnn.Shape WITH_RESIDUAL = new Dnn.Shape(DataType.FLOAT16, 2, 10, 12, 320, 640, 3, 3, 2, 1, true);
    static final Dnn.Shape WITHOUT = new Dnn.Shape(DataType.FLOAT32, 1, 8, 8, 4, 3, 1, 1, 1, 0, false);

    private FakeLibraries() {
    }

    /** @param arguments the driver's CUDA version, and perhaps the GPU's compute capability */
    public static void main(String[] arguments) {
        FakeDriver driver = new FakeDriver(Integer.parseInt(arguments[0]), arguments.length > 1 ? Integer.parseInt(arguments[1]) : 90);
        try (CudaLibraries libraries = CudaLibraries.open(driver)) {
            System.out.println(libraries.blas().description());
            System.out.println(libraries.dnn().description());
            multiply(libraries.blas(), driver.newStream());
            convolve(libraries.dnn(), driver.newStream());
            System.out.println("left allocated: " + driver.allocated.size() + ", streams: " + driver.openStreams);
        } catch (DeviceException e) {
            System.out.println(e.getMessage());
        }
    }

    private static void multiply(Blas blas, CudaDriver.Stream stream) {
        Blas.Matrix a = new Blas.Matrix(0xa000, 11, 12);
        Blas.Matrix b = new Blas.Matrix(0xb000, 21, 0);
        Blas.Matrix c = new Blas.Matrix(0xc000, 31, 5_000_000_000L);
        blas.multiply(true, false, 2, 3, 4, 0.5f, a, b, 0, c, DataType.FLOAT16, 6, null);
        blas.setWorkspace(0x77000, 4096);
        // The same again is no call.
        blas.setWorkspace(0x77000, 4096);
        blas.multiply(false, true, 2, 3, 4, 1, a, b, 0.25f, c, DataType.BFLOAT16, 1, stream);
        blas.multiply(false, false, 2, 3, 4, 1, a, b, 0, c, DataType.FLOAT32, 1, stream);
    }

    /** Prepares and runs everything that is proposed, twice on the same memory. */
    private static void convolve(Dnn dnn, CudaDriver.Stream stream) {
        for (Dnn.Shape shape : new Dnn.Shape[] {WITH_RESIDUAL, WITHOUT}) {
            long residual = shape.residual() ? 0x4000 : 0;
            try (Dnn.Proposals<Dnn.Plan> proposals = dnn.propose(shape)) {
                for (Candidate<Dnn.Plan> candidate : proposals.candidates()) {
                    String before = (candidate.isLastResort() ? "last resort " : "") + candidate.name() + " " + candidate.notes() + ": ";
                    try (Dnn.Plan plan = candidate.prepare()) {
                        plan.run(0x1000, 0x2000, 0x3000, residual, 0x5000, 0x6000, stream);
                        plan.run(0x1000, 0x2000, 0x3000, residual, 0x5000, 0x6000, stream);
                        System.out.println(before + plan.workspaceBytes() + " bytes" + (plan.addsBias() ? "" : ", no bias"));
                    } catch (DeviceException e) {
                        System.out.println(before + e.getMessage());
                    }
                }
            }
        }
    }

    /** Compiles one of the fakes; returns its folder, or null where there is no C compiler. */
    static Path build(Path folder, String source, String name, String... options) throws IOException, InterruptedException {
        Files.createDirectories(folder);
        Path sources = Path.of("src/test/c");
        List<String> command = new ArrayList<>(List.of("gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o",
                folder.resolve(name).toString(), "-Wl,-soname," + name));
        command.addAll(List.of(options));
        command.add(sources.resolve(source).toString());
        Process process;
        try {
            process = new ProcessBuilder(command).inheritIO().start();
        } catch (IOException e) {
            return null;
        }
        if (process.waitFor() != 0) {
            throw new IOException(source + " does not compile");
        }
        return folder;
    }
}
