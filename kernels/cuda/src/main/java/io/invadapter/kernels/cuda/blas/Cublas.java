package io.invadapter.kernels.cuda.blas;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;

/** cuBLAS 12 or 13, whichever way it is bound. One thread at a time uses the handle. Numbers are those of cublas_api.h. */
public final class Cublas implements Blas {
    private static final int SUCCESS = 0;
    private static final int ALLOC_FAILED = 3;

    private static final int OPERATION_N = 0;
    static final int OPERATION_T = 1;
    /** Of float32, and of float16 and bfloat16 with float32 sums; TF32 would be another. */
    static final int COMPUTE_32F = 68;
    /** {@code CUDA_R_32F}. */
    static final int FLOAT_32 = 0;
    private static final int GEMM_DEFAULT = -1;
    /** Without it cuBLAS may add partial sums in float16. */
    private static final int DISALLOW_REDUCED_PRECISION_REDUCTION = 16;

    private final CudaDriver driver;
    private final CublasCalls calls;
    /** Null where it is missing, or does not start. */
    private CublasLt lt;
    /** Why it is not there, for people; empty when that is nothing to tell. */
    private String withoutLt = "";
    private long workspace;
    private long workspaceBytes;
    private long stream;

    private Cublas(CudaDriver driver, CublasCalls calls) {
        this.driver = driver;
        this.calls = calls;
    }

    /**
     * cuBLAS 12, by way of JCublas.
     *
     * @param library its {@code libcublas.so.12}
     * @param lt      its {@code libcublasLt.so.12}
     * @throws DeviceException when it does not start on the driver's GPU
     */
    public static Cublas version12(CudaDriver driver, SharedLibrary library, Optional<SharedLibrary> lt) {
        return start(driver, () -> new JCublasCalls(library), lt);
    }

    /**
     * cuBLAS 13, bound directly: JCublas asks for version 12 by name.
     *
     * @param library its {@code libcublas.so.13}
     * @param lt      its {@code libcublasLt.so.13}
     * @throws DeviceException when it does not start on the driver's GPU
     */
    public static Cublas version13(CudaDriver driver, SharedLibrary library, Optional<SharedLibrary> lt) {
        return start(driver, () -> new ForeignCublasCalls(library), lt);
    }

    private static Cublas start(CudaDriver driver, Supplier<CublasCalls> handle, Optional<SharedLibrary> lt) {
        driver.makeCurrent();
        Cublas cublas = new Cublas(driver, handle.get());
        try {
            cublas.check("cublasSetMathMode", cublas.calls.setMathMode(DISALLOW_REDUCED_PRECISION_REDUCTION));
            lt.ifPresent(cublas::startLt);
        } catch (RuntimeException e) {
            cublas.close();
            throw e;
        }
        return cublas;
    }

    /** Without it products are those of cuBLAS itself. */
    private void startLt(SharedLibrary library) {
        try {
            lt = CublasLt.start(driver, library);
        } catch (DeviceException e) {
            withoutLt = ", without cuBLASLt (" + e.getMessage() + ")";
        }
    }

    /** Throws when a status is not success. */
    static void checkStart(String call, int status) {
        if (status == ALLOC_FAILED) {
            throw new OutOfDeviceMemoryException("the GPU has not enough memory left for cuBLAS (" + call
                    + "); end other programs that use it");
        }
        if (status != SUCCESS) {
            throw new CudaException("cuBLAS does not start: " + call + " answered " + name(status)
                    + (status == 1 ? "; is there a GPU that nvidia-smi lists, and is its driver as new as the library?" : ""));
        }
    }

    private void check(String call, int status) {
        check(driver, call, status);
    }

    /** Throws when a status is not success. */
    static void check(CudaDriver driver, String call, int status) {
        if (status == ALLOC_FAILED) {
            throw new OutOfDeviceMemoryException(driver.deviceName() + " has not enough memory left for cuBLAS (" + call + ")");
        }
        if (status != SUCCESS) {
            throw new CudaException("cuBLAS failed on " + driver.deviceName() + ": " + call + " answered " + name(status));
        }
    }

    private static String name(int status) {
        return switch (status) {
            case 1 -> "CUBLAS_STATUS_NOT_INITIALIZED";
            case ALLOC_FAILED -> "CUBLAS_STATUS_ALLOC_FAILED";
            case 7 -> "CUBLAS_STATUS_INVALID_VALUE";
            case 8 -> "CUBLAS_STATUS_ARCH_MISMATCH";
            case 11 -> "CUBLAS_STATUS_MAPPING_ERROR";
            case 13 -> "CUBLAS_STATUS_EXECUTION_FAILED";
            case 14 -> "CUBLAS_STATUS_INTERNAL_ERROR";
            case 15 -> "CUBLAS_STATUS_NOT_SUPPORTED";
            case 16 -> "CUBLAS_STATUS_LICENSE_ERROR";
            default -> "status " + status;
        };
    }

    /** E.g. {@code 13.1.1}. */
    static String version(int number) {
        return number / 10000 + "." + number / 100 % 100 + "." + number % 100;
    }

    /** {@code cudaDataType}. */
    static int number(DataType type) {
        return switch (type) {
            case FLOAT32 -> FLOAT_32;
            case FLOAT16 -> 2;
            case BFLOAT16 -> 14;
            case INT32 -> throw new IllegalArgumentException("products are of floating-point matrices, not of " + type);
        };
    }

    @Override
    public String description() {
        return calls.description() + (lt == null ? withoutLt : ", " + lt.description());
    }

    @Override
    public synchronized void setWorkspace(long address, long bytes) {
        if (address == workspace && bytes == workspaceBytes) {
            return;
        }
        workspace = address;
        workspaceBytes = bytes;
        driver.makeCurrent();
        setStream(stream);
    }

    private void use(CudaDriver.Stream wanted) {
        long handle = wanted == null ? 0 : wanted.handle();
        if (handle != stream) {
            setStream(handle);
        }
    }

    /** The two belong together: setting a stream takes the workspace away, and cuBLAS allocates its own again. */
    private void setStream(long handle) {
        check("cublasSetStream", calls.setStream(handle));
        stream = handle;
        if (workspace != 0) {
            check("cublasSetWorkspace", calls.setWorkspace(workspace, workspaceBytes));
        }
    }

    @Override
    public synchronized void multiply(boolean transposeA, boolean transposeB, int m, int n, int k, float alpha, Matrix a,
                                      Matrix b, float beta, Matrix c, DataType type, int batch, CudaDriver.Stream stream) {
        Objects.requireNonNull(type, "type");
        driver.makeCurrent();
        use(stream);
        int status = calls.gemmStridedBatched(transposeA ? OPERATION_T : OPERATION_N, transposeB ? OPERATION_T : OPERATION_N,
                m, n, k, alpha, a, b, beta, c, number(type), batch, COMPUTE_32F, GEMM_DEFAULT);
        if (status != SUCCESS) {
            check("the product of " + m + " x " + k + " and " + k + " x " + n + " in " + type + ", " + batch + " times,",
                    status);
        }
    }

    @Override
    public List<Candidate<ProductWay>> candidates(Product product) {
        return lt == null ? List.of() : lt.candidates(product);
    }

    @Override
    public synchronized void close() {
        try {
            driver.makeCurrent();
        } catch (CudaException e) {
            // The device is lost, and the handles with it.
            return;
        }
        int status = lt == null ? SUCCESS : lt.close();
        check("cublasDestroy", calls.destroy());
        check("cublasLtDestroy", status);
    }
}
