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

// The second source: identity keys and values, map[b] the identity of batch row b, lambda[b] its strength.
struct Identity {
    Operand k;
    Operand v;
    const int* map;
    const float* lambda;
    int keys;
};
