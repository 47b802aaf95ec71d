// Timestep embedding: with h = dim / 2 and w_i = 10000^(-i / h),
//
//   y[n, i] = cos(t[n] w_i), y[n, h + i] = sin(t[n] w_i), i < h      (flip_sin_to_cos; an odd dim ends with a zero)
//
// Layout   t [N] float32, y [N, dim] float32.
// Cost     4 N dim bytes; a launch's latency.
// Design   One thread per pair. w_i as a power of two; the angle, up to 1000 radians, is brought to [-pi, pi] by
//          subtracting multiples of 2 pi in three exact parts, where the hardware's sine and cosine are good to 2^-20.
//          What remains is the rounding of w_i in float32, as in the float32 reference: up to 1e-4 at t = 1000.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
timestep_embedding(const float* __restrict__ t, float* __restrict__ y, int count, int dim) {
    unsigned half_dim = static_cast<unsigned>(dim) / 2;
    // The odd dim's last place counts as one more pair.
    unsigned pairs = (static_cast<unsigned>(dim) + 1) / 2;
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int n = i / pairs;
    unsigned pair = i % pairs;
    if (n >= count) {
        return;
    }
    float* row = y + static_cast<long long>(n) * dim;
    if (pair == half_dim) {
        row[dim - 1] = 0.0f;
        return;
    }
    constexpr float LOG2_10000 = 13.287712379549449f;
    float angle = t[n] * exp2_fast(-LOG2_10000 * pair / half_dim);
    float turns = rintf(angle * 0.15915494309189535f);
    angle = fmaf(-turns, 6.28125f, angle);
    angle = fmaf(-turns, 1.9350051879882812e-3f, angle);
    angle = fmaf(-turns, 3.0199159819e-7f, angle);
    row[pair] = __cosf(angle);
    row[half_dim + pair] = __sinf(angle);
}
