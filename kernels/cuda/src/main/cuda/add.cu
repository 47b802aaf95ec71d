// What follows a product: y[n, p, c] = act(x[n, p, c] + bias[c]) + time[n, c] + residual[n, p, c], everything but x
// optional; act is nothing (add), SiLU (add_silu), x / (1 + exp(-1.702 x)) (add_quick_gelu) or x Phi(x) (add_gelu).
//
// Layout   x, residual, y [N, P, C] (y may be x or the residual), bias [C], time [N, C]; null = absent.
// Cost     2 N P C values, 3 N P C with a residual, plus bias and time once per thread; bound by memory.
// Design   A thread has one chunk of channels of some consecutive rows of one image: of one while there are multiprocessors
//          to fill, of up to 8 beyond, so that bias and time are read once for them; four rows are on their way at once.
//          Sums in float32, rounded once. C no multiple of a chunk, or unaligned addresses: value by value.
#include "common.cuh"

namespace {
// Rows of a thread that are on their way at the same time, where they can be read in whole chunks.
constexpr int BATCH = 4;

template <typename Activation, bool VECTORS>
__device__ inline void add_rows(const Value* x, const float (&before)[CHUNK], const float (&after)[CHUNK],
                                const Value* residual, Value* y, long long place, int rows, int channels, int count) {
    constexpr int AT_ONCE = VECTORS ? BATCH : 1;
#pragma unroll 1
    for (int row = 0; row < rows; row += AT_ONCE) {
        Chunk values[AT_ONCE];
        Chunk residuals[AT_ONCE];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            if (row + j < rows) {
                long long at = place + static_cast<long long>(row + j) * channels;
                values[j] = load_chunk(x + at, count, VECTORS);
                if (residual != nullptr) {
                    residuals[j] = load_chunk(residual + at, count, VECTORS);
                }
            }
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            if (row + j < rows) {
                float sum[CHUNK];
                widen(sum, values[j]);
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    sum[e] = Activation()(sum[e] + before[e]) + after[e];
                }
                if (residual != nullptr) {
                    float more[CHUNK];
                    widen(more, residuals[j]);
#pragma unroll
                    for (int e = 0; e < CHUNK; e++) {
                        sum[e] += more[e];
                    }
                }
                store_chunk(y + place + static_cast<long long>(row + j) * channels, narrow(sum), count, VECTORS);
            }
        }
    }
}

template <typename Activation>
__device__ inline void add_to(const Value* x, const Value* bias, const Value* time, const Value* residual, Value* y,
                              int images, int pixels, int channels, int rows_per_thread) {
    unsigned chunks = chunks_of(channels);
    int bands = (pixels + rows_per_thread - 1) / rows_per_thread;
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * CHUNK;
    int band = i / chunks;
    int image = band / bands;
    if (image >= images) {
        return;
    }
    int first = band % bands * rows_per_thread;
    int rows = min(rows_per_thread, pixels - first);
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
    long long place = (static_cast<long long>(image) * pixels + first) * channels + c;
    if (vectors) {
        add_rows<Activation, true>(x, before, after, residual, y, place, rows, channels, count);
    } else {
        add_rows<Activation, false>(x, before, after, residual, y, place, rows, channels, count);
    }
}
}  // namespace

#define ADD(name, Activation)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256)                                                                \
    name(const Value* x, const Value* __restrict__ bias, const Value* __restrict__ time, const Value* residual,      \
         Value* y, int images, int pixels, int channels, int rows_per_thread) {                                      \
        add_to<Activation>(x, bias, time, residual, y, images, pixels, channels, rows_per_thread);                   \
    }

ADD(add, None)
ADD(add_silu, Silu)
ADD(add_quick_gelu, QuickGelu)
ADD(add_gelu, Gelu)
