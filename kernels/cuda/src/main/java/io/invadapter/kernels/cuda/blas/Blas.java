package io.invadapter.kernels.cuda.blas;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;

/**
 * The one call of cuBLAS that the engine needs, {@code cublasGemmStridedBatchedEx}: the seam behind which JCublas (CUDA 12),
 * a binding of our own (CUDA 13) and plain Java (tests) are the same thing.
 *
 * <p>Matrices are column-major, as cuBLAS has them. Sums are float32 for every type; float32 products are full float32, not
 * TF32.
 */
public interface Blas extends AutoCloseable {

    /**
     * A matrix, or one for each of a batch, in device memory.
     *
     * @param address          of the first value, a multiple of the type's size
     * @param leadingDimension distance, in values, between two columns
     * @param batchStride      distance, in values, between two matrices of a batch; 0: all use the same
     */
    record Matrix(long address, int leadingDimension, long batchStride) {
    }

    /** For people: which library, which version, how bound. */
    String description();

    /**
     * Scratch memory for all calls from now on. Without it cuBLAS allocates its own, which cannot be recorded in a graph.
     *
     * @param address a multiple of 256, or 0
     */
    void setWorkspace(long address, long bytes);

    /**
     * {@code C = alpha op(A) op(B) + beta C} for each of {@code batch} matrices, {@code op(X)} being X or its transpose.
     *
     * @param m      rows of op(A) and C
     * @param n      columns of op(B) and C
     * @param k      columns of op(A), rows of op(B)
     * @param type   of all three matrices
     * @param beta   0: C is only written
     * @param stream where
     * @throws io.invadapter.kernels.cuda.driver.CudaException when cuBLAS refuses or fails, with its status by name
     */
    void multiply(boolean transposeA, boolean transposeB, int m, int n, int k, float alpha, Matrix a, Matrix b, float beta,
                  Matrix c, DataType type, int batch, CudaDriver.Stream stream);

    @Override
    void close();
}
