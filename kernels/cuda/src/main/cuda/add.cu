// What follows a product: y[n, p, c] = act(x[n, p, c] + bias[c]) + time[n, c] + residual[n, p, c], everything but x
// optional; act is nothing (add), SiLU (add_silu), x / (1 + exp(-1.702 x)) (add_quick_gelu) or x Phi(x) (add_gelu).
//
// Layout   x, residual, y [N, P, C] (y may be x or the residual), bias [C], time [N, C]; null = absent.
// Cost     2 N P C values, 3 N P C with a residual, plus bias and time once per 8 rows; bound by memory.
// Design   A thread has one chunk of channels of 8 consecutive rows of one image, so that bias and time are read once
//          for them. Sums in float32, rounded once. C no multiple of a chunk, or unaligned addresses: value by value.
#include "common.cuh"

namespace {
constexpr int ROWS = 8;

template <typename Activation>
__device__ inline void add_to(const Value* x, const Value* bias, const Value* time, const Value* residual, Value* y,
                              int images, int pixels, int channels) {
    unsigned chunks = chunks_of(channels);
    int bands = (pixels + ROWS - 1) / ROWS;
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * CHUNK;
    int band = i / chunks;
    int image = band / bands;
    if (image >= images) {
        return;
    }
    int first = band % bands * ROWS;
    int count = channels - c;
    bool vectors = channels % CHUNK == 0 && aligned16(x) && aligned16(bias) && aligned16(time) && aligned16(residual)
                && aligned16(y);
    float before[CHUNK] = {};
    float after[CHUNK] = {};
    if (bias != nullptr) {
        widen(before, load_chunk(bias + c, count, vectors));
    }
    if (time != nullptr) {
        widen(after, load_chunk(time + static_cast<long long>(image) * channels + c, count, vectors));
    }
#pragma unroll 1
    for (int row = first; row < min(first + ROWS, pixels); row++) {
        long long place = (static_cast<long long>(image) * pixels + row) * channels + c;
        float sum[CHUNK];
        widen(sum, load_chunk(x + place, count, vectors));
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            sum[e] = Activation()(sum[e] + before[e]) + after[e];
        }
        if (residual != nullptr) {
            float values[CHUNK];
            widen(values, load_chunk(residual + place, count, vectors));
#pragma unroll
            for (int e = 0; e < CHUNK; e++) {
                sum[e] += values[e];
            }
        }
        store_chunk(y + place, narrow(sum), count, vectors);
    }
}
}  // namespace

#define ADD(name, Activation)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256)                                                                \
    name(const Value* x, const Value* __restrict__ bias, const Value* __restrict__ time, const Value* residual,      \
         Value* y, int images, int pixels, int channels) {                                                           \
        add_to<Activation>(x, bias, time, residual, y, images, pixels, channels);                                    \
    }

ADD(add, None)
ADD(add_silu, Silu)
ADD(add_quick_gelu, QuickGelu)
ADD(add_gelu, Gelu)
