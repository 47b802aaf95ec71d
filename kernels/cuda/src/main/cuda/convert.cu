// Casts between float32 and the library's type (to nearest even; beyond its largest number infinite, as the format has
// it).
//
// Layout   x, y [n].
// Cost     One value of each type; bound by memory.
// Design   Four values per thread, 16 bytes on the float32 side; the last, incomplete four and unaligned addresses go
//          value by value.
#include "four.cuh"

extern "C" __global__ void __launch_bounds__(256)
to_activations(const float* __restrict__ x, Value* __restrict__ y, long long n) {
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
