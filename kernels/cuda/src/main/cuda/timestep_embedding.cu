// Timestep embedding: with h = dim / 2 and w_i = exp(-ln(10000) i / (h - shift)),
//
//   y[n, i] = cos(t[n] w_i), y[n, h + i] = sin(t[n] w_i), i < h      (or sine first; an odd dim ends with a zero)
//
// Layout   t [N] float32, y [N, dim].
// Cost     N dim values; a launch's latency.
// Design   One thread per pair. The exponent, w_i and the angle are each rounded to float32, as in the float32 reference:
//          at t = 1000 the rounding of w_i shows in the fourth digit, so it has to be the same one. The exponential is
//          therefore made in float64, 2^k exp(r) with |r| <= ln(2) / 2 and a series of which the first term left out is
//          below 1e-9. The angle, up to 1000 radians, is brought to [-pi, pi] by subtracting multiples of 2 pi in three
//          exact parts, where the hardware's sine and cosine are good to 2^-20.
#include "common.cuh"

namespace {
// exp(x) to the nearest float32, for x in [-10, 0].
__device__ inline float exp_nearest(float x) {
    float k = rintf(x * LOG2_E);
    double r = fma(static_cast<double>(-k), 0.69314718055994531, static_cast<double>(x));
    double sum = 1.0 / 40320;
#pragma unroll
    for (int n = 7; n >= 0; n--) {
        constexpr double inverse[] = {1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040};
        sum = fma(sum, r, inverse[n]);
    }
    return static_cast<float>(sum) * __int_as_float((127 + static_cast<int>(k)) << 23);
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256)
timestep_embedding(const float* __restrict__ t, Value* __restrict__ y, int count, int dim, int cosine_first,
                   float shift) {
    unsigned half_dim = static_cast<unsigned>(dim) / 2;
    // The odd dim's last place counts as one more pair.
    unsigned pairs = (static_cast<unsigned>(dim) + 1) / 2;
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int n = i / pairs;
    unsigned pair = i % pairs;
    if (n >= count) {
        return;
    }
    Value* row = y + static_cast<long long>(n) * dim;
    if (pair == half_dim) {
        row[dim - 1] = to_value(0.0f);
        return;
    }
    constexpr float LN_10000 = 9.210340371976184f;
    float exponent = __fdiv_rn(-LN_10000 * pair, half_dim - shift);
    float angle = t[n] * exp_nearest(exponent);
    float turns = rintf(angle * 0.15915494309189535f);
    angle = fmaf(-turns, 6.28125f, angle);
    angle = fmaf(-turns, 1.9350051879882812e-3f, angle);
    angle = fmaf(-turns, 3.0199159819e-7f, angle);
    row[cosine_first ? pair : half_dim + pair] = to_value(__cosf(angle));
    row[cosine_first ? half_dim + pair : pair] = to_value(__sinf(angle));
}
