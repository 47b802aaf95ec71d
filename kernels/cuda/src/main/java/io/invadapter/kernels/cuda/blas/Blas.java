package io.invadapter.kernels.cuda.blas;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;

/**
 * What the engine needs of cuBLAS: {@code cublasGemmStridedBatchedEx}, and of cublasLt the product that also adds bias and
 * residual. The seam behind which JCublas (CUDA 12), a binding of our own (CUDA 13, cublasLt) and plain Java (tests) are the
 * same thing.
 *
 * <p>Matrices are column-major, as cuBLAS has them. Sums are float32 for every type and the same every time; float32 products
 * are full float32, not TF32.
 */
public interface Blas extends AutoCloseable {
    /** Scratch memory that NVIDIA recommends for compute capability 9.0; older chips need less. */
    long WORKSPACE_BYTES = 32L << 20;

    /**
     * A matrix, or one for each of a batch, in device memory.
     *
     * @param address          of the first value, a multiple of the type's size
     * @param leadingDimension distance, in values, between two columns
     * @param batchStride      distance, in values, between two matrices of a batch; 0: all use the same
     */
    record Matrix(long address, int leadingDimension, long batchStride) {
    }

    /**
     * A linear layer on rows that lie side by side: {@code y = x W^T + bias + residual}, row-major.
     *
     * @param type      of all operands
     * @param rows      of x, residual and y
     * @param bias      whether a bias is added
     * @param residual  whether a residual is added
     * @param alignment in bytes; the address of every operand is a multiple of it
     */
    record Product(DataType type, int rows, int inFeatures, int outFeatures, boolean bias, boolean residual, int alignment) {
        /** Of the choice among its ways. */
        public String key() {
            return "product " + this;
        }

        /** E.g. {@code FLOAT16 8192 x 320 -> 1280 + bias + residual}, and the alignment unless it is 16. */
        @Override
        public String toString() {
            return type + " " + rows + " x " + inFeatures + " -> " + outFeatures + (bias ? " + bias" : "")
                    + (residual ? " + residual" : "") + (alignment == BEST_ALIGNMENT ? "" : " aligned to " + alignment);
        }
    }

    /** The alignment from which on more makes no difference. */
    int BEST_ALIGNMENT = 16;

    /** A way to compute a {@link Product} in one go. */
    interface ProductWay extends Way {
        /**
         * {@code y = x W^T + bias + residual}. May be recorded in a graph.
         *
         * @param x         address of {@code [rows, inFeatures]}
         * @param weight    address of {@code [outFeatures, inFeatures]}
         * @param bias      address of {@code [outFeatures]} when the product has one, else 0
         * @param residual  address of {@code [rows, outFeatures]} when the product has one, else 0; not y
         * @param y         address of {@code [rows, outFeatures]}
         * @param workspace address of {@link #workspaceBytes()} bytes, a multiple of 256, or 0 when that is 0
         * @param stream    where
         * @throws io.invadapter.kernels.cuda.driver.CudaException when cuBLAS fails, with its status by name
         */
        void run(long x, long weight, long bias, long residual, long y, long workspace, CudaDriver.Stream stream);
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

    /** cublasLt's ways to compute a product, the most promising first; none where it is missing. */
    List<Candidate<ProductWay>> candidates(Product product);

    @Override
    void close();
}
