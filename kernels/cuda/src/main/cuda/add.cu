// Additions after a product: y[n, p, c] = x[n, p, c] + bias[c] + time[n, c] + residual[n, p, c], each but x optional.
//
// Layout   x, residual, y [N, P, C] float16 (y may be x or the residual), bias [C], time [N, C] float16; null = absent.
// Cost     4 N P C bytes, 6 N P C with a residual, plus bias and time once per 8 rows; bound by memory.
// Design   A thread has one chunk of 8 channels of 8 consecutive rows of one image, so that bias and time are read once
//          for them. Sums in float32, rounded once. C no multiple of 8, or unaligned addresses: value by value.
#include "common.cuh"

namespace {
constexpr int ROWS = 8;
}

extern "C" __global__ void __launch_bounds__(256)
add_f16(const __half* x, const __half* __restrict__ bias, const __half* __restrict__ time, const __half* residual,
        __half* y, int images, int pixels, int channels) {
    unsigned chunks = chunks_of(channels);
    int bands = (pixels + ROWS - 1) / ROWS;
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * 8;
    int band = i / chunks;
    int image = band / bands;
    if (image >= images) {
        return;
    }
    int first = band % bands * ROWS;
    int count = channels - c;
    bool vectors = channels % 8 == 0 && aligned16(x) && aligned16(bias) && aligned16(time) && aligned16(residual)
                && aligned16(y);
    float constant[8] = {};
    if (bias != nullptr) {
        widen(constant, load_chunk(bias + c, count, vectors));
    }
    if (time != nullptr) {
        float values[8];
        widen(values, load_chunk(time + static_cast<long long>(image) * channels + c, count, vectors));
#pragma unroll
        for (int e = 0; e < 8; e++) {
            constant[e] += values[e];
        }
    }
#pragma unroll 4
    for (int row = first; row < min(first + ROWS, pixels); row++) {
        long long place = (static_cast<long long>(image) * pixels + row) * channels + c;
        float sum[8];
        widen(sum, load_chunk(x + place, count, vectors));
#pragma unroll
        for (int e = 0; e < 8; e++) {
            sum[e] += constant[e];
        }
        if (residual != nullptr) {
            float values[8];
            widen(values, load_chunk(residual + place, count, vectors));
#pragma unroll
            for (int e = 0; e < 8; e++) {
                sum[e] += values[e];
            }
        }
        store_chunk(y + place, narrow(sum), count, vectors);
    }
}
