/* Stands in for cuBLAS where there is no GPU: takes down its arguments. Signatures as in cublas_api.h. */
#include "fake.h"

#define HANDLE ((void *) 0xb1a5)

int cublasCreate_v2(void **handle) {
    int status = answer("FAKE_CUBLAS_CREATE", 0);
    note("cublasCreate");
    *handle = status == 0 ? HANDLE : NULL;
    return status;
}

int cublasGetVersion_v2(void *handle, int *version) {
    note("cublasGetVersion %p", handle);
    *version = VERSION;
    return 0;
}

int cublasGetProperty(int type, int *value) {
    if (answer("FAKE_CUBLAS_PROPERTY", 0) != 0) {
        return answer("FAKE_CUBLAS_PROPERTY", 0);
    }
    *value = type == 0 ? VERSION / 10000 : type == 1 ? VERSION / 100 % 100 : VERSION % 100;
    return 0;
}

int cublasSetMathMode(void *handle, int mode) {
    note("cublasSetMathMode %p %d", handle, mode);
    return 0;
}

int cublasSetStream_v2(void *handle, void *stream) {
    note("cublasSetStream %p %lx", handle, (uintptr_t) stream);
    return 0;
}

int cublasSetWorkspace_v2(void *handle, void *workspace, size_t bytes) {
    note("cublasSetWorkspace %p %p %zu", handle, workspace, bytes);
    return 0;
}

int cublasGemmStridedBatchedEx(void *handle, int transa, int transb, int m, int n, int k, const void *alpha, const void *A,
                               int Atype, int lda, long long int strideA, const void *B, int Btype, int ldb,
                               long long int strideB, const void *beta, void *C, int Ctype, int ldc, long long int strideC,
                               int batchCount, int computeType, int algo) {
    note("gemm %p op %d %d size %d %d %d alpha %g A %p %d %d %lld B %p %d %d %lld beta %g C %p %d %d %lld batch %d compute %d "
         "algo %d", handle, transa, transb, m, n, k, *(const float *) alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB,
         *(const float *) beta, C, Ctype, ldc, strideC, batchCount, computeType, algo);
    return answer("FAKE_CUBLAS_GEMM", 0);
}

int cublasDestroy_v2(void *handle) {
    note("cublasDestroy %p", handle);
    return 0;
}
