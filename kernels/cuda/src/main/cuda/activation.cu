// Activations, element by element: silu y = x / (1 + exp(-x)); quick_gelu y = x / (1 + exp(-1.702 x)) (CLIP);
// gelu y = x Phi(x), with the exact error function. What follows a product is better done by add.cu.
//
// Layout   x, y [n] (y may be x).
// Cost     2 n values, 6 to 25 FLOPs each; bound by memory.
// Design   One chunk of values per thread; the last, incomplete chunk and unaligned addresses go value by value.
#include "common.cuh"

namespace {
template <typename Activation>
__device__ inline void map(const Value* x, Value* y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * CHUNK;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, static_cast<long long>(CHUNK)));
    bool vectors = count == CHUNK && aligned16(x) && aligned16(y);
    float values[CHUNK];
    widen(values, load_chunk(x + i, count, vectors));
#pragma unroll
    for (int e = 0; e < CHUNK; e++) {
        values[e] = Activation()(values[e]);
    }
    store_chunk(y + i, narrow(values), count, vectors);
}
}  // namespace

#define ACTIVATION(name, Activation)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256) name(const Value* x, Value* y, long long n) {                  \
        map<Activation>(x, y, n);                                                                                    \
    }

ACTIVATION(silu, Silu)
ACTIVATION(quick_gelu, QuickGelu)
ACTIVATION(gelu, Gelu)
