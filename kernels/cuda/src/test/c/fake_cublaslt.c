/*
 * Stands in for cublasLt where there is no GPU: takes down its arguments. Signatures as in cublasLt.h. Descriptors are numbered
 * in the order in which they are made.
 */
#include "fake.h"

#define HANDLE ((void *) 0x17)

typedef struct {
    uint64_t data[8];
} algorithm_t;

typedef struct {
    algorithm_t algo;
    size_t workspaceSize;
    int state;
    float wavesCount;
    int reserved[4];
} result_t;

static intptr_t made = 0;

size_t cublasLtGetVersion(void) {
    return VERSION;
}

int cublasLtGetProperty(int type, int *value) {
    *value = type == 0 ? VERSION / 10000 : type == 1 ? VERSION / 100 % 100 : VERSION % 100;
    return 0;
}

int cublasLtCreate(void **handle) {
    int status = answer("FAKE_LT_CREATE", 0);
    note("cublasLtCreate");
    *handle = status == 0 ? HANDLE : NULL;
    return status;
}

int cublasLtDestroy(void *handle) {
    note("cublasLtDestroy %p", handle);
    return answer("FAKE_LT_DESTROY", 0);
}

int cublasLtMatmulDescCreate(void **operation, int computeType, int scaleType) {
    *operation = (void *) ++made;
    note("lt %ld = operation compute %d scale %d", made, computeType, scaleType);
    return answer("FAKE_LT_OPERATION", 0);
}

static void attribute(const char *kind, void *descriptor, int name, const void *value, size_t bytes) {
    if (bytes == 4) {
        note("lt %s %ld.%d: %d", kind, (intptr_t) descriptor, name, *(const int *) value);
    } else {
        note("lt %s %ld.%d: %#lx in %zu bytes", kind, (intptr_t) descriptor, name, *(const uint64_t *) value, bytes);
    }
}

int cublasLtMatmulDescSetAttribute(void *operation, int name, const void *value, size_t bytes) {
    attribute("operation", operation, name, value, bytes);
    return answer("FAKE_LT_ATTRIBUTE", 0);
}

int cublasLtMatmulDescDestroy(void *operation) {
    note("lt destroy %ld", (intptr_t) operation);
    return 0;
}

int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t cols, int64_t ld) {
    *layout = (void *) ++made;
    note("lt %ld = layout type %d %lu x %lu by %ld", made, type, rows, cols, ld);
    return answer("FAKE_LT_LAYOUT", 0);
}

int cublasLtMatrixLayoutDestroy(void *layout) {
    note("lt destroy %ld", (intptr_t) layout);
    return 0;
}

int cublasLtMatmulPreferenceCreate(void **preference) {
    *preference = (void *) ++made;
    note("lt %ld = preference", made);
    return 0;
}

int cublasLtMatmulPreferenceSetAttribute(void *preference, int name, const void *value, size_t bytes) {
    attribute("preference", preference, name, value, bytes);
    return 0;
}

int cublasLtMatmulPreferenceDestroy(void *preference) {
    note("lt destroy %ld", (intptr_t) preference);
    return 0;
}

/* Proposes four: the second is none, the third computes in less than float32, the fourth is the first again. */
int cublasLtMatmulAlgoGetHeuristic(void *handle, void *operation, void *a, void *b, void *c, void *d, void *preference, int room,
                                   result_t *results, int *count) {
    static const uint64_t ids[4] = {66, 67, 68, 66};
    note("lt heuristics %p operation %ld layouts %ld %ld %ld %ld preference %ld room %d", handle, (intptr_t) operation, (intptr_t) a,
         (intptr_t) b, (intptr_t) c, (intptr_t) d, (intptr_t) preference, room);
    *count = 4;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 8; j++) {
            results[i].algo.data[j] = ids[i] + 0x100 * j;
        }
        results[i].workspaceSize = 5000000000 + i;
        results[i].state = i == 1 ? 15 : 0;
        results[i].wavesCount = 0.75f;
    }
    return answer("FAKE_LT_HEURISTICS", 0);
}

int cublasLtMatmulAlgoConfigGetAttribute(const algorithm_t *algo, int name, void *value, size_t bytes, size_t *written) {
    static const size_t sizes[9] = {4, 4, 4, 4, 4, 4, 4, 2, 2};
    if (bytes != sizes[name]) {
        return 7;
    }
    uint64_t answer = name == 0 ? algo->data[0] : 10 + name;
    memcpy(value, &answer, bytes);
    *written = bytes;
    return 0;
}

int cublasLtMatmulAlgoCapGetAttribute(const algorithm_t *algo, int name, void *value, size_t bytes, size_t *written) {
    if (name != 15 || bytes != 8) {
        return 7;
    }
    *(uint64_t *) value = algo->data[0] == 68 ? answer("FAKE_LT_FLAGS", 0x40202) : 0x10202;
    *written = bytes;
    return 0;
}

int cublasLtMatmul(void *handle, void *operation, const void *alpha, const void *A, void *layoutA, const void *B, void *layoutB,
                   const void *beta, const void *C, void *layoutC, void *D, void *layoutD, const algorithm_t *algo, void *workspace,
                   size_t bytes, void *stream) {
    note("lt product %p operation %ld alpha %g A %p %ld B %p %ld beta %g C %p %ld D %p %ld algorithm %lu %#lx workspace %p %zu "
         "stream %lx", handle, (intptr_t) operation, *(const float *) alpha, A, (intptr_t) layoutA, B, (intptr_t) layoutB,
         *(const float *) beta, C, (intptr_t) layoutC, D, (intptr_t) layoutD, algo->data[0], algo->data[7], workspace, bytes,
         (uintptr_t) stream);
    return answer("FAKE_LT_PRODUCT", 0);
}
