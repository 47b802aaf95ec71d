package io.invadapter.kernels.cuda.blas;

import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.JCudaNatives;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import jcuda.Pointer;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasHandle;

/** cuBLAS 12 by way of JCublas. */
final class JCublasCalls implements CublasCalls {
    private final Handle handle = new Handle();
    private final MethodHandle setStream;
    private final String description;

    /** JCuda keeps a handle's number to subclasses. */
    private static final class Handle extends cublasHandle {
        long value() {
            return getNativePointer();
        }
    }

    JCublasCalls(SharedLibrary library) {
        // JCuda makes no stream from the driver's number, so this one call goes past it.
        setStream = library.function("cublasSetStream_v2",
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
        try {
            JCudaNatives.load(() -> JCublas2.setExceptionsEnabled(false));
        } catch (LinkageError e) {
            throw new CudaException("cuBLAS cannot be used: JCublas does not load with " + library.path(), e);
        }
        Cublas.checkStart("cublasCreate", JCublas2.cublasCreate(handle));
        int[] version = new int[1];
        Cublas.checkStart("cublasGetVersion", JCublas2.cublasGetVersion(handle, version));
        description = ForeignCublasCalls.description(version[0], library, "JCublas");
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public int setStream(long stream) {
        return SharedLibrary.call(() -> (int) setStream.invokeExact(handle.value(), stream));
    }

    @Override
    public int setWorkspace(long address, long bytes) {
        return JCublas2.cublasSetWorkspace(handle, at(address), bytes);
    }

    @Override
    public int setMathMode(int mode) {
        return JCublas2.cublasSetMathMode(handle, mode);
    }

    @Override
    public int gemmStridedBatched(int operationA, int operationB, int m, int n, int k, float alpha, Blas.Matrix a,
                                  Blas.Matrix b, float beta, Blas.Matrix c, int type, int batch, int computeType,
                                  int algorithm) {
        return JCublas2.cublasGemmStridedBatchedEx_new(handle, operationA, operationB, m, n, k,
                Pointer.to(new float[] {alpha}), at(a.address()), type, a.leadingDimension(), a.batchStride(),
                at(b.address()), type, b.leadingDimension(), b.batchStride(),
                Pointer.to(new float[] {beta}), at(c.address()), type, c.leadingDimension(), c.batchStride(),
                batch, computeType, algorithm);
    }

    @Override
    public int destroy() {
        return JCublas2.cublasDestroy(handle);
    }

    /** JCuda makes no pointer from a number, but null plus an offset is one. */
    private static Pointer at(long address) {
        return new Pointer().withByteOffset(address);
    }
}
