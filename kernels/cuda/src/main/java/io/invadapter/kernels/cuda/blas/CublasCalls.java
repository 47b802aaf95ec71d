package io.invadapter.kernels.cuda.blas;

/** The calls of cuBLAS that {@link Cublas} makes, on one handle; each gives cuBLAS's status. */
interface CublasCalls {
    /** For people: which library, which version, how bound. */
    String description();

    int setStream(long stream);

    int setWorkspace(long address, long bytes);

    int setMathMode(int mode);

    /** {@code cublasGemmStridedBatchedEx}, all matrices of one type. */
    int gemmStridedBatched(int operationA, int operationB, int m, int n, int k, float alpha, Blas.Matrix a, Blas.Matrix b,
                           float beta, Blas.Matrix c, int type, int batch, int computeType, int algorithm);

    int destroy();
}
