// Casts between float32 and float16 (to nearest even; beyond 65504 infinite, as the format has it).
//
// Layout   x, y [n].
// Cost     6 n bytes; bound by memory.
// Design   Four values per thread, 16 bytes on the float32 side and 8 on the other; the last, incomplete four and
//          unaligned addresses go value by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
float_to_half(const float* __restrict__ x, __half* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 4;
    if (i + 4 <= n && aligned16(x) && (reinterpret_cast<uintptr_t>(y) & 7) == 0) {
        float4 value = *reinterpret_cast<const float4*>(x + i);
        *reinterpret_cast<uint2*>(y + i) = make_uint2(pack(value.x, value.y), pack(value.z, value.w));
    } else {
#pragma unroll 1
        for (long long e = i; e < min(i + 4, n); e++) {
            y[e] = __float2half(x[e]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
half_to_float(const __half* __restrict__ x, float* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 4;
    if (i + 4 <= n && aligned16(y) && (reinterpret_cast<uintptr_t>(x) & 7) == 0) {
        uint2 value = *reinterpret_cast<const uint2*>(x + i);
        float2 low = unpack(value.x);
        float2 high = unpack(value.y);
        *reinterpret_cast<float4*>(y + i) = make_float4(low.x, low.y, high.x, high.y);
    } else {
#pragma unroll 1
        for (long long e = i; e < min(i + 4, n); e++) {
            y[e] = __half2float(x[e]);
        }
    }
}
