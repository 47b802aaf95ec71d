// Operands of attention.
#pragma once

#include "common.cuh"

// A [batch, rows, heads, head size] operand anywhere inside a larger array; strides count elements.
struct Operand {
    const Value* data;
    long long batch_stride;
    int row_stride;
    int head_stride;
};

__device__ inline const Value* head_of(const Operand& operand, int batch, int head) {
    return operand.data + batch * operand.batch_stride + static_cast<long long>(head) * operand.head_stride;
}

// Further keys and values: batch row b looks at row rows[b] of them, weighted by scales[b]; without rows at row b, without scales
// with weight 1.
struct Source {
    Operand k;
    Operand v;
    const int* rows;
    const float* scales;
    int keys;
};

__device__ inline float scale_of(const Source& source, int batch) {
    return source.scales != nullptr ? source.scales[batch] : 1.0f;
}

__device__ inline int row_of(const Source& source, int batch) {
    return source.rows != nullptr ? source.rows[batch] : batch;
}

// In place of the number of the first source's keys: its part is what `out` holds, or there is none.
constexpr int IN_OUT = 0;
constexpr int NO_FIRST_SOURCE = -1;
