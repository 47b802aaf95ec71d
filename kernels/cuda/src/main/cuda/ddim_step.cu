// Classifier-free guidance and one deterministic DDIM step, for each picture:
//
//   eps = eps_negative + g (eps_prompt - eps_negative)         (without eps_negative: eps = eps_prompt)
//   y   = a x + b eps,   a = sqrt(A'/A),  b = sqrt(1 - A') - sqrt(A' (1 - A) / A),  A, A' = alpha-bar before and after
//
// The same two coefficients, with A and A' exchanged in time, make a step of the inversion.
//
// Layout   x, y (which may be x), eps [pictures, n], all float32 whatever the library's type. guidance [pictures] and
//          (a, b) [2], float32 too, are read from memory: a recorded launch serves any step and any guidance.
// Cost     8 n bytes for x and y, 4 n per eps; n is 16384 per picture: a launch's latency.
// Design   Grid (ceil(n / 1024), pictures). Four values per thread; the last, incomplete four and unaligned addresses go
//          value by value.
#include "four.cuh"

extern "C" __global__ void __launch_bounds__(256)
ddim_step(const float* x, const float* negative, const float* prompt, float* y, long long n, const float* guidance,
          const float* coefficients) {
    long long first = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 4;
    if (first >= n) {
        return;
    }
    int count = static_cast<int>(min(n - first, 4LL));
    long long i = blockIdx.y * n + first;
    float a = coefficients[0];
    float b = coefficients[1];
    float g = negative == nullptr ? 0.0f : guidance[blockIdx.y];
    bool vectors = n % 4 == 0 && aligned4(x) && aligned4(y) && aligned4(negative) && aligned4(prompt);
    if (vectors) {
        float4 value = load_four(x + i);
        float4 eps = load_four(prompt + i);
        if (negative != nullptr) {
            float4 base = load_four(negative + i);
            eps.x = base.x + g * (eps.x - base.x);
            eps.y = base.y + g * (eps.y - base.y);
            eps.z = base.z + g * (eps.z - base.z);
            eps.w = base.w + g * (eps.w - base.w);
        }
        value.x = a * value.x + b * eps.x;
        value.y = a * value.y + b * eps.y;
        value.z = a * value.z + b * eps.z;
        value.w = a * value.w + b * eps.w;
        store_four(y + i, value);
    } else {
#pragma unroll 1
        for (int e = 0; e < count; e++) {
            float eps = prompt[i + e];
            if (negative != nullptr) {
                float base = negative[i + e];
                eps = base + g * (eps - base);
            }
            y[i + e] = a * x[i + e] + b * eps;
        }
    }
}
