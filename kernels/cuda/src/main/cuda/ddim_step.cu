// Classifier-free guidance and one deterministic DDIM step:
//
//   eps = eps_negative + g (eps_prompt - eps_negative)         (without eps_negative: eps = eps_prompt)
//   y   = a x + b eps,   a = sqrt(A'/A),  b = sqrt(1 - A') - sqrt(A' (1 - A) / A),  A, A' = alpha-bar before and after
//
// The same two coefficients, with A and A' exchanged in time, make a step of the inversion.
//
// Layout   x, y [n] float32 (y may be x); eps [n] float16 (ddim_step_f16) or float32 (ddim_step_f32); y16 [n] float16 or
//          null: the next evaluation's input, so that it needs no cast of its own.
// Cost     8 n bytes for x and y, 2 or 4 n per eps, 2 n for y16; n is 16384 per picture: a launch's latency.
// Design   Four values per thread; the last, incomplete four and unaligned addresses go value by value.
#include "common.cuh"

namespace {
__device__ inline bool aligned(const void* pointer, int bytes) {
    return (reinterpret_cast<uintptr_t>(pointer) & (bytes - 1)) == 0;
}

__device__ inline float4 load_four(const float* source) { return *reinterpret_cast<const float4*>(source); }

__device__ inline float4 load_four(const __half* source) {
    uint2 both = *reinterpret_cast<const uint2*>(source);
    float2 low = unpack(both.x);
    float2 high = unpack(both.y);
    return make_float4(low.x, low.y, high.x, high.y);
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }

template <typename Eps>
__device__ inline void ddim_step(const float* x, const Eps* negative, const Eps* prompt, float* y, __half* y16,
                                 long long n, float guidance, float a, float b) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 4;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, 4LL));
    bool vectors = count == 4 && aligned16(x) && aligned16(y) && aligned(negative, 4 * sizeof(Eps))
                && aligned(prompt, 4 * sizeof(Eps)) && aligned(y16, 8);
    if (vectors) {
        float4 value = load_four(x + i);
        float4 eps = load_four(prompt + i);
        if (negative != nullptr) {
            float4 base = load_four(negative + i);
            eps.x = base.x + guidance * (eps.x - base.x);
            eps.y = base.y + guidance * (eps.y - base.y);
            eps.z = base.z + guidance * (eps.z - base.z);
            eps.w = base.w + guidance * (eps.w - base.w);
        }
        value.x = a * value.x + b * eps.x;
        value.y = a * value.y + b * eps.y;
        value.z = a * value.z + b * eps.z;
        value.w = a * value.w + b * eps.w;
        *reinterpret_cast<float4*>(y + i) = value;
        if (y16 != nullptr) {
            *reinterpret_cast<uint2*>(y16 + i) = make_uint2(pack(value.x, value.y), pack(value.z, value.w));
        }
    } else {
#pragma unroll 1
        for (int e = 0; e < count; e++) {
            float eps = to_float(prompt[i + e]);
            if (negative != nullptr) {
                float base = to_float(negative[i + e]);
                eps = base + guidance * (eps - base);
            }
            float value = a * x[i + e] + b * eps;
            y[i + e] = value;
            if (y16 != nullptr) {
                y16[i + e] = __float2half(value);
            }
        }
    }
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256)
ddim_step_f16(const float* x, const __half* negative, const __half* prompt, float* y, __half* y16, long long n,
              float guidance, float a, float b) {
    ddim_step(x, negative, prompt, y, y16, n, guidance, a, b);
}

extern "C" __global__ void __launch_bounds__(256)
ddim_step_f32(const float* x, const float* negative, const float* prompt, float* y, __half* y16, long long n,
              float guidance, float a, float b) {
    ddim_step(x, negative, prompt, y, y16, n, guidance, a, b);
}
