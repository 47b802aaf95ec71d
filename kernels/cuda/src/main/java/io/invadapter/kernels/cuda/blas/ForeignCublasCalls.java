package io.invadapter.kernels.cuda.blas;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** cuBLAS 13 by way of java.lang.foreign. Handles, streams and device memory are numbers. */
final class ForeignCublasCalls implements CublasCalls {
    private final Arena arena = Arena.ofShared();
    /** alpha, beta, in host memory, where cuBLAS looks for them unless told otherwise. */
    private final MemorySegment factors = arena.allocate(JAVA_FLOAT, 2);
    private final MethodHandle setStream;
    private final MethodHandle setWorkspace;
    private final MethodHandle setMathMode;
    private final MethodHandle gemm;
    private final MethodHandle destroy;
    private final long handle;
    private final String description;

    ForeignCublasCalls(SharedLibrary library) {
        setStream = library.function("cublasSetStream_v2", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
        setWorkspace = library.function("cublasSetWorkspace_v2",
                FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG));
        setMathMode = library.function("cublasSetMathMode", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT));
        gemm = library.function("cublasGemmStridedBatchedEx", FunctionDescriptor.of(JAVA_INT,
                // handle, op(A), op(B), m, n, k, alpha
                JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG,
                // A and B, each with type, leading dimension, stride
                JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG,
                // beta, C
                JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG,
                // batch, compute type, algorithm
                JAVA_INT, JAVA_INT, JAVA_INT));
        destroy = library.function("cublasDestroy_v2", FunctionDescriptor.of(JAVA_INT, JAVA_LONG));
        MethodHandle create = library.function("cublasCreate_v2", FunctionDescriptor.of(JAVA_INT, JAVA_LONG));
        MethodHandle getVersion = library.function("cublasGetVersion_v2",
                FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
        MemorySegment out = arena.allocate(JAVA_LONG);
        try {
            Cublas.checkStart("cublasCreate", SharedLibrary.call(() -> (int) create.invokeExact(out.address())));
            long created = out.get(JAVA_LONG, 0);
            Cublas.checkStart("cublasGetVersion", SharedLibrary.call(() -> (int) getVersion.invokeExact(created, out.address())));
            handle = created;
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
        description = description(out.get(JAVA_INT, 0), library, "java.lang.foreign");
    }

    /** E.g. {@code cuBLAS 13.1.1 (java.lang.foreign, /usr/local/cuda/lib64/libcublas.so.13)}. */
    static String description(int version, SharedLibrary library, String bound) {
        return "cuBLAS " + Cublas.version(version) + " (" + bound + ", " + library.path() + ")";
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public int setStream(long stream) {
        return SharedLibrary.call(() -> (int) setStream.invokeExact(handle, stream));
    }

    @Override
    public int setWorkspace(long address, long bytes) {
        return SharedLibrary.call(() -> (int) setWorkspace.invokeExact(handle, address, bytes));
    }

    @Override
    public int setMathMode(int mode) {
        return SharedLibrary.call(() -> (int) setMathMode.invokeExact(handle, mode));
    }

    @Override
    public int gemmStridedBatched(int operationA, int operationB, int m, int n, int k, float alpha, Blas.Matrix a,
                                  Blas.Matrix b, float beta, Blas.Matrix c, int type, int batch, int computeType,
                                  int algorithm) {
        factors.setAtIndex(JAVA_FLOAT, 0, alpha);
        factors.setAtIndex(JAVA_FLOAT, 1, beta);
        return SharedLibrary.call(() -> (int) gemm.invokeExact(handle, operationA, operationB, m, n, k, factors.address(),
                a.address(), type, a.leadingDimension(), a.batchStride(),
                b.address(), type, b.leadingDimension(), b.batchStride(),
                factors.address() + Float.BYTES, c.address(), type, c.leadingDimension(), c.batchStride(),
                batch, computeType, algorithm));
    }

    @Override
    public int destroy() {
        try {
            return SharedLibrary.call(() -> (int) destroy.invokeExact(handle));
        } finally {
            arena.close();
        }
    }
}
