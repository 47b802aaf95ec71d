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
        Blas blas = openBlas(driver, finder);
        try {
            return new CudaLibraries(blas, openDnn(driver, finder));
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

    private static Blas openBlas(CudaDriver driver, LibraryFinder finder) {
        Optional<SharedLibrary> library = findBlas(finder, 12);
        if (library.isPresent()) {
            return Cublas.version12(driver, library.get());
        }
        if (driver.driverVersion() < CUDA_13) {
            throw new CudaException(missingBlas(finder, driver.driverVersion()));
        }
        return Cublas.version13(driver,
                findBlas(finder, 13).orElseThrow(() -> new CudaException(missingBlas(finder, driver.driverVersion()))));
    }

    private static Dnn openDnn(CudaDriver driver, LibraryFinder finder) {
        SharedLibrary library = findDnn(finder).orElseThrow(() -> new CudaException(missingDnn(finder)));
        int built = cudartVersion(library);
        if (built / 1000 > driver.driverVersion() / 1000) {
            throw new CudaException(tooNew(library, built, driver.driverVersion()));
        }
        return new JCudnnDnn(driver, library);
    }

    private static Optional<SharedLibrary> findBlas(LibraryFinder finder, int version) {
        return finder.find("libcublas.so." + version, "libcublasLt.so." + version);
    }

    private static Optional<SharedLibrary> findDnn(LibraryFinder finder) {
        Optional<SharedLibrary> library = finder.find(CUDNN);
        // cuDNN compiles fused kernels with it, when it is there, and asks for it by its bare name.
        library.ifPresent(found -> finder.find("libnvrtc.so." + cudartVersion(found) / 1000));
        return library;
    }

    private static String missingBlas(LibraryFinder finder, int driverVersion) {
        return "cuBLAS 12" + (driverVersion < CUDA_13 ? " (libcublas.so.12)" : " or 13 (libcublas.so.12, libcublas.so.13)")
                + " is not found: " + ADVICE + because(finder);
    }

    private static String missingDnn(LibraryFinder finder) {
        return "cuDNN 9 (" + CUDNN + ") is not found: " + ADVICE + because(finder);
    }

    private static String tooNew(SharedLibrary library, int built, int driverVersion) {
        return library.path() + " is cuDNN for CUDA " + built / 1000 + ", NVIDIA's driver supports CUDA "
                + driverVersion / 1000 + ": update the driver or install cuDNN for CUDA " + driverVersion / 1000;
    }

    private static String because(LibraryFinder finder) {
        return finder.failures().isEmpty() ? "" : " (" + String.join("; ", finder.failures()) + ")";
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
        Optional<SharedLibrary> blas = findBlas(finder, 12);
        if (blas.isEmpty() && (driverVersion == 0 || driverVersion >= CUDA_13)) {
            blas = findBlas(finder, 13);
        }
        if (blas.isPresent()) {
            lines.add("cuBLAS " + cublasVersion(blas.get()) + ": " + blas.get().path());
        } else if (driverVersion != 0) {
            lines.add(missingBlas(finder, driverVersion));
        }
        Optional<SharedLibrary> dnn = findDnn(finder);
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
    private static String cublasVersion(SharedLibrary library) {
        MethodHandle property = library.function("cublasGetProperty", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
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

    @Override
    public void close() {
        try {
            dnn.close();
        } finally {
            blas.close();
        }
    }
}
