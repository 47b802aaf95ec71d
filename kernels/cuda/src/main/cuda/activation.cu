// Activations, element by element: silu y = x / (1 + exp(-x)); quick_gelu y = x / (1 + exp(-1.702 x)) (CLIP).
//
// Layout   x, y [n] float16 (y may be x).
// Cost     4 n bytes, about 6 FLOPs per value; bound by memory.
// Design   One chunk of 8 values per thread; the last, incomplete chunk and unaligned addresses go value by value.
#include "common.cuh"

namespace {
template <typename Function>
__device__ inline void map(const __half* x, __half* y, long long n, Function function) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 8;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, 8LL));
    bool vectors = count == 8 && aligned16(x) && aligned16(y);
    float values[8];
    widen(values, load_chunk(x + i, count, vectors));
#pragma unroll
    for (int e = 0; e < 8; e++) {
        values[e] = function(values[e]);
    }
    store_chunk(y + i, narrow(values), count, vectors);
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256) silu_f16(const __half* x, __half* y, long long n) {
    map(x, y, n, [](float v) { return silu(v); });
}

extern "C" __global__ void __launch_bounds__(256) quick_gelu_f16(const __half* x, __half* y, long long n) {
    map(x, y, n, [](float v) { return v * sigmoid(1.702f * v); });
}
