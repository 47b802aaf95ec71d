// Casts between float32 and the library's type (to nearest even; beyond its largest number infinite, as the format has
// it).
//
// Layout   x, y [n]. to_activations takes one to three arrays, a [na], b [nb] and c [nc], and writes them one after the other:
//          the rows that a step gives to the network, of which those with and without the prompt are the same latents.
// Cost     One value of each type; bound by memory, for a step's latents by the launch.
// Design   Four values per thread, 16 bytes on the float32 side; the last, incomplete four and unaligned addresses go
//          value by value. Grid of to_activations (ceil(greatest n / 1024), arrays).
#include "four.cuh"

extern "C" __global__ void __launch_bounds__(256)
to_activations(const float* a, const float* b, const float* c, long long na, long long nb, long long nc, Value* y) {
    const float* x = blockIdx.y == 0 ? a : blockIdx.y == 1 ? b : c;
    long long n = blockIdx.y == 0 ? na : blockIdx.y == 1 ? nb : nc;
    y += blockIdx.y == 0 ? 0 : blockIdx.y == 1 ? na : na + nb;
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 4;
    if (i + 4 <= n && aligned4(x) && aligned4(y)) {
        store_four(y + i, load_four(x + i));
    } else {
#pragma unroll 1
        for (long long e = i; e < min(i + 4, n); e++) {
            y[e] = to_value(x[e]);
        }
    }
}

#ifndef FLOAT32
extern "C" __global__ void __launch_bounds__(256)
to_float(const Value* __restrict__ x, float* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 4;
    if (i + 4 <= n && aligned4(x) && aligned4(y)) {
        store_four(y + i, load_four(x + i));
    } else {
#pragma unroll 1
        for (long long e = i; e < min(i + 4, n); e++) {
            y[e] = to_float(x[e]);
        }
    }
}
#endif
