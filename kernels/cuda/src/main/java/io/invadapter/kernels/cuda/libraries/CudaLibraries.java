package io.invadapter.kernels.cuda.libraries;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.blas.Cublas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.dnn.JCudnnDnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.InstalledGpu;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * cuBLAS and cuDNN, found on this machine and started on one GPU. Where they are looked for is in the module's README.
 *
 * @param blas matrix products
 * @param dnn  convolutions
 */
public record CudaLibraries(Blas blas, Dnn dnn) implements AutoCloseable {
    private static final int CUDA_13 = 13000;
    private static final String CUDNN = "libcudnn.so.9";

    private static final String ADVICE = "install it, name its folder in " + LibraryFolders.VARIABLE
            + ", or build with mvn -Pnvidia, which downloads 2 GB";

    /**
     * Finds both and starts them.
     *
     * @throws DeviceException when one is missing or does not start; the message says what to do
     */
    public static CudaLibraries open(CudaDriver driver) {
        requirePlatform();
        LibraryFinder finder = LibraryFinder.ofThisMachine();
        SharedLibrary cudnn = findDnn(finder).orElseThrow(() -> new CudaException(missingDnn(finder)));
        int built = cudartVersion(cudnn);
        if (built / 1000 > driver.driverVersion() / 1000) {
            throw new CudaException(tooNew(cudnn, built, driver.driverVersion()));
        }
        List<Integer> majors = blasMajors(driver.driverVersion(), built);
        SharedLibrary cublas = findBlas(finder, majors).orElseThrow(() -> new CudaException(missingBlas(finder, majors)));
        Optional<SharedLibrary> lt = findLt(finder, cublas);
        Blas blas = cublas.name().endsWith(".12") ? Cublas.version12(driver, cublas, lt) : Cublas.version13(driver, cublas, lt);
        try {
            return new CudaLibraries(blas, new JCudnnDnn(driver, cudnn, cublasNumber(cublas)));
        } catch (RuntimeException e) {
            blas.close();
            throw e;
        }
    }

    private static void requirePlatform() {
        String platform = System.getProperty("os.name") + " " + System.getProperty("os.arch");
        if (!platform.equals("Linux amd64")) {
            throw new CudaException("CUDA devices need Linux on x86-64, this is " + platform);
        }
    }

    /**
     * The versions of cuBLAS that the driver can run, the one of cuDNN's CUDA first: cuDNN loads that one, too.
     *
     * @param driverVersion 0: not known, so any
     * @param built         the CUDA version that cuDNN was built for, or 0
     */
    static List<Integer> blasMajors(int driverVersion, int built) {
        if (driverVersion != 0 && driverVersion < CUDA_13) {
            return List.of(12);
        }
        return built < CUDA_13 ? List.of(12, 13) : List.of(13, 12);
    }

    /** The other half of cuBLAS, which comes with it. */
    private static Optional<SharedLibrary> findLt(LibraryFinder finder, SharedLibrary cublas) {
        return finder.beside(cublas, cublas.name().replace("libcublas.", "libcublasLt."));
    }

    private static Optional<SharedLibrary> findBlas(LibraryFinder finder, List<Integer> majors) {
        return majors.stream().map(major -> finder.find("libcublas.so." + major, "libcublasLt.so." + major))
                .flatMap(Optional::stream).findFirst();
    }

    private static Optional<SharedLibrary> findDnn(LibraryFinder finder) {
        Optional<SharedLibrary> library = finder.find(CUDNN);
        // cuDNN compiles fused kernels with it, when it is there, and asks for it by its bare name, as it does for its builtins.
        library.map(found -> cudartVersion(found) / 1000)
                .ifPresent(major -> finder.find("libnvrtc.so." + major, "libnvrtc-builtins.so." + major + ".*"));
        return library;
    }

    private static String missingBlas(LibraryFinder finder, List<Integer> majors) {
        List<String> numbers = majors.stream().map(String::valueOf).toList();
        List<String> files = majors.stream().map(major -> "libcublas.so." + major).toList();
        return "cuBLAS " + String.join(" or ", numbers) + " (" + String.join(", ", files) + ") is not found: " + ADVICE
                + because(finder.failures("libcublas"));
    }

    private static String missingDnn(LibraryFinder finder) {
        return "cuDNN 9 (" + CUDNN + ") is not found: " + ADVICE + because(finder.failures(CUDNN));
    }

    private static String tooNew(SharedLibrary library, int built, int driverVersion) {
        return library.path() + " is cuDNN for CUDA " + built / 1000 + ", NVIDIA's driver supports CUDA "
                + driverVersion / 1000 + ": update the driver or install cuDNN for CUDA " + driverVersion / 1000;
    }

    private static String because(List<String> failures) {
        return failures.isEmpty() ? "" : " (" + String.join("; ", failures) + ")";
    }

    private static int cudartVersion(SharedLibrary cudnn) {
        return (int) number(cudnn, "cudnnGetCudartVersion");
    }

    private static long number(SharedLibrary library, String function) {
        MethodHandle handle = library.function(function, FunctionDescriptor.of(JAVA_LONG));
        return SharedLibrary.call(() -> (long) handle.invokeExact());
    }

    /**
     * What there is of CUDA, for people: the driver, the GPUs, the libraries, one line each; and one sentence with advice for
     * each thing that is missing. Starts nothing on a GPU.
     */
    public static List<String> report() {
        List<String> lines = new ArrayList<>();
        int driverVersion = 0;
        try {
            requirePlatform();
            driverVersion = InstalledGpu.driverVersion();
            lines.add("driver for CUDA " + driverVersion / 1000 + "." + driverVersion % 1000 / 10);
            List<InstalledGpu> gpus = InstalledGpu.all();
            gpus.forEach(gpu -> lines.add(gpu.description()));
        } catch (CudaException e) {
            lines.add(e.getMessage());
        }
        try {
            reportLibraries(lines, driverVersion);
        } catch (CudaException e) {
            lines.add(e.getMessage());
        }
        return lines;
    }

    /** Without a driver only what is there: the driver is the first thing to get. */
    private static void reportLibraries(List<String> lines, int driverVersion) {
        LibraryFinder finder = LibraryFinder.ofThisMachine();
        Optional<SharedLibrary> dnn = findDnn(finder);
        List<Integer> majors = blasMajors(driverVersion, dnn.map(CudaLibraries::cudartVersion).orElse(0));
        Optional<SharedLibrary> blas = findBlas(finder, majors);
        if (blas.isPresent()) {
            lines.add("cuBLAS " + cublasVersion(blas.get(), "cublasGetProperty") + ": " + blas.get().path());
            lines.add(findLt(finder, blas.get())
                    .map(lt -> "cuBLASLt " + cublasVersion(lt, "cublasLtGetProperty") + ": " + lt.path())
                    .orElse("cuBLASLt is not beside it: biases and residuals are added by launches of their own"));
        } else if (driverVersion != 0) {
            lines.add(missingBlas(finder, majors));
        }
        if (dnn.isPresent()) {
            long version = number(dnn.get(), "cudnnGetVersion");
            int built = cudartVersion(dnn.get());
            lines.add("cuDNN " + version / 10000 + "." + version / 100 % 100 + "." + version % 100 + " for CUDA " + built / 1000
                    + ": " + dnn.get().path());
            if (driverVersion != 0 && built / 1000 > driverVersion / 1000) {
                lines.add(tooNew(dnn.get(), built, driverVersion));
            }
        } else if (driverVersion != 0) {
            lines.add(missingDnn(finder));
        }
    }

    /** Without a handle, so without a GPU. */
    private static String cublasVersion(SharedLibrary library, String function) {
        MethodHandle property = library.function(function, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            List<String> parts = new ArrayList<>();
            for (int part = 0; part < 3; part++) {
                int asked = part;
                int status = SharedLibrary.call(() -> (int) property.invokeExact(asked, value));
                parts.add(status == 0 ? Integer.toString(value.get(JAVA_INT, 0)) : "?");
            }
            return String.join(".", parts);
        }
    }

    /** The same as one number, 130601 for 13.6.1; what is not known counts as 0. */
    private static int cublasNumber(SharedLibrary library) {
        int number = 0;
        for (String part : cublasVersion(library, "cublasGetProperty").split("\\.")) {
            number = number * 100 + (part.equals("?") ? 0 : Integer.parseInt(part));
        }
        return number;
    }

    @Override
    public void close() {
        try {
            dnn.close();
        } finally {
            blas.close();
        }
    }
}
