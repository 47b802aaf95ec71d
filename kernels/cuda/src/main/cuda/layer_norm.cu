// Layer normalisation: y[r, c] = (x[r, c] - mean[r]) / sqrt(variance[r] + eps) gamma[c] + beta[c], statistics per row.
//
// Layout   x, y [R, C] (y may be x), gamma, beta [C].
// Cost     2 R C values, plus gamma and beta once per block; about 8 FLOPs per value; bound by memory.
// Design   One warp per row, eight warps per block. layer_norm: C a multiple of a chunk up to 2048 and addresses multiples
//          of 16 bytes: the row stays in registers, so x is read once and the variance is the true sum of squared
//          distances from the mean. gamma and beta are read once per block into shared memory.
//          layer_norm_any: any C and alignment, value by value, three readings of x of which two hit the L1 cache.
#include "common.cuh"

namespace {
constexpr int WARPS = 8;
// Chunks of a row that a lane keeps.
constexpr int MOST = 2048 / 32 / CHUNK;
}  // namespace

extern "C" __global__ void __launch_bounds__(WARPS * 32)
layer_norm(const Value* x, const Value* __restrict__ gamma, const Value* __restrict__ beta, Value* y, int rows,
           int channels, int rows_per_block, float eps) {
    extern __shared__ uint4 shared[];
    int chunks = channels / CHUNK;
    uint32_t gammas = shared_address(shared);
    uint32_t betas = gammas + chunks * 16;
#pragma unroll 1
    for (int own = threadIdx.x; own < chunks; own += WARPS * 32) {
        store_shared_chunk(gammas + own * 16, load_chunk(gamma + own * CHUNK, CHUNK, true));
        store_shared_chunk(betas + own * 16, load_chunk(beta + own * CHUNK, CHUNK, true));
    }
    __syncthreads();

    int lane = threadIdx.x % 32;
    int end = min((blockIdx.x + 1) * rows_per_block, rows);
    for (int row = blockIdx.x * rows_per_block + threadIdx.x / 32; row < end; row += WARPS) {
        const Value* source = x + static_cast<long long>(row) * channels;
        Chunk kept[MOST];
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            int chunk = i * 32 + lane;
            if (chunk < chunks) {
                kept[i] = load_chunk(source + chunk * CHUNK, CHUNK, true);
                float values[CHUNK];
                widen(values, kept[i]);
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    sum += values[e];
                }
            }
        }
        float mean = warp_sum(sum) / channels;
        float squares = 0.0f;
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            if (i * 32 + lane < chunks) {
                float values[CHUNK];
                widen(values, kept[i]);
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    squares += (values[e] - mean) * (values[e] - mean);
                }
            }
        }
        float factor = 1.0f / sqrtf(warp_sum(squares) / channels + eps);
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            int chunk = i * 32 + lane;
            if (chunk < chunks) {
                float values[CHUNK];
                float scales[CHUNK];
                float offsets[CHUNK];
                widen(values, kept[i]);
                widen(scales, load_shared_chunk(gammas + chunk * 16));
                widen(offsets, load_shared_chunk(betas + chunk * 16));
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    values[e] = (values[e] - mean) * factor * scales[e] + offsets[e];
                }
                store_chunk(y + static_cast<long long>(row) * channels + chunk * CHUNK, narrow(values), CHUNK, true);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * 32)
layer_norm_any(const Value* x, const Value* __restrict__ gamma, const Value* __restrict__ beta, Value* y, int rows,
               int channels, int rows_per_block, float eps) {
    int lane = threadIdx.x % 32;
    int end = min((blockIdx.x + 1) * rows_per_block, rows);
    for (int row = blockIdx.x * rows_per_block + threadIdx.x / 32; row < end; row += WARPS) {
        const Value* source = x + static_cast<long long>(row) * channels;
        Value* target = y + static_cast<long long>(row) * channels;
        float sum = 0.0f;
#pragma unroll 1
        for (int c = lane; c < channels; c += 32) {
            sum += to_float(source[c]);
        }
        float mean = warp_sum(sum) / channels;
        float squares = 0.0f;
#pragma unroll 1
        for (int c = lane; c < channels; c += 32) {
            float difference = to_float(source[c]) - mean;
            squares += difference * difference;
        }
        float factor = 1.0f / sqrtf(warp_sum(squares) / channels + eps);
#pragma unroll 1
        for (int c = lane; c < channels; c += 32) {
            target[c] = to_value((to_float(source[c]) - mean) * factor * to_float(gamma[c])
                                     + to_float(beta[c]));
        }
    }
}
