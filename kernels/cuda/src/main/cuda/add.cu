// What follows a product: y[r, c] = act(x[r, c] + bias[c]) + residual[r, c], everything but x optional; act is nothing (add),
// SiLU (add_silu), x / (1 + exp(-1.702 x)) (add_quick_gelu) or x Phi(x) (add_gelu).
//
// Layout   x, residual, y [G, R, C] (y may be x or the residual), bias [G, C]; null = absent. G, the grid's height, is 1 where all
//          rows have the same bias.
// Cost     2 G R C values, 3 G R C with a residual, plus the bias once per thread; bound by memory.
// Design   A thread has one chunk of channels of some consecutive rows: of one while there are multiprocessors to fill, of up
//          to 8 beyond, so that the bias is read once for them; four rows are on their way at once. Sums in float32, rounded
//          once. C no multiple of a chunk, or unaligned addresses: value by value.
#include "common.cuh"

namespace {
// Rows of a thread that are on their way at the same time, where they can be read in whole chunks.
constexpr int BATCH = 4;

template <typename Activation, bool VECTORS>
__device__ inline void add_rows(const Value* x, const float (&bias)[CHUNK], const Value* residual, Value* y, long long place,
                                int rows, int channels, int count) {
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
                    sum[e] = Activation()(sum[e] + bias[e]);
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
__device__ inline void add_to(const Value* x, const Value* bias, const Value* residual, Value* y, int rows, int channels,
                              int rows_per_thread) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * CHUNK;
    long long first = static_cast<long long>(i / chunks) * rows_per_thread;
    if (first >= rows) {
        return;
    }
    long long group = static_cast<long long>(blockIdx.y) * rows * channels;
    x += group;
    y += group;
    if (residual != nullptr) {
        residual += group;
    }
    if (bias != nullptr) {
        bias += static_cast<long long>(blockIdx.y) * channels;
    }
    int own = min(rows_per_thread, rows - static_cast<int>(first));
    int count = channels - c;
    bool vectors = channels % CHUNK == 0 && aligned16(x) && aligned16(bias) && aligned16(residual) && aligned16(y);
    float biases[CHUNK] = {};
    if (bias != nullptr) {
        widen(biases, load_chunk(bias + c, count, vectors));
    }
    long long place = first * channels + c;
    if (vectors) {
        add_rows<Activation, true>(x, biases, residual, y, place, own, channels, count);
    } else {
        add_rows<Activation, false>(x, biases, residual, y, place, own, channels, count);
    }
}
}  // namespace

#define ADD(name, Activation)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256)                                                                \
    name(const Value* x, const Value* __restrict__ bias, const Value* residual, Value* y, int rows, int channels,    \
         int rows_per_thread) {                                                                                      \
        add_to<Activation>(x, bias, residual, y, rows, channels, rows_per_thread);                                   \
    }

ADD(add, None)
ADD(add_silu, Silu)
ADD(add_quick_gelu, QuickGelu)
ADD(add_gelu, Gelu)
