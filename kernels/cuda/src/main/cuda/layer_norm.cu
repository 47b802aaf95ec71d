// Layer normalisation: y[r, c] = (x[r, c] - mean[r]) / sqrt(variance[r] + eps) gamma[c] + beta[c], statistics per row.
//
// Layout   x, y [R, C] (y may be x), gamma, beta [C].
// Cost     2 R C values, plus gamma and beta once per block; about 8 FLOPs per value; bound by memory.
// Design   One warp per row, one to eight warps per block: as few as it takes to give each multiprocessor a block.
//          layer_norm: C a multiple of a chunk up to 2048 and addresses multiples of 16 bytes: the row stays in registers, so x
//          is read once and the variance is the true sum of squared distances from the mean. gamma and beta are copied once
//          per block into shared memory, while the first rows are on their way and summed.
//          layer_norm_any: any C and alignment, value by value, three readings of x of which two hit the L1 cache.
#include "common.cuh"

namespace {
constexpr int MOST_THREADS = 256;
// Chunks of a row that a lane keeps.
constexpr int MOST = 2048 / 32 / CHUNK;
}  // namespace

extern "C" __global__ void __launch_bounds__(MOST_THREADS)
layer_norm(const Value* x, const Value* __restrict__ gamma, const Value* __restrict__ beta, Value* y, int rows,
           int channels, int rows_per_block, float eps) {
    extern __shared__ uint4 shared[];
    int chunks = channels / CHUNK;
    uint32_t gammas = shared_address(shared);
    uint32_t betas = gammas + chunks * 16;
#pragma unroll 1
    for (int own = threadIdx.x; own < chunks; own += blockDim.x) {
        copy_async(gammas + own * 16, gamma + own * CHUNK, true);
        copy_async(betas + own * 16, beta + own * CHUNK, true);
    }
    copy_commit();

    int lane = threadIdx.x % 32;
    int start = blockIdx.x * rows_per_block;
    int end = min(start + rows_per_block, rows);
    // As often in every warp, for the barrier; one without a row has no chunks.
    for (int first = start; first < end; first += blockDim.x / 32) {
        int row = first + threadIdx.x / 32;
        int own_chunks = row < end ? chunks : 0;
        const Value* source = x + static_cast<long long>(row) * channels;
        Chunk kept[MOST];
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            int chunk = i * 32 + lane;
            if (chunk < own_chunks) {
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
            if (i * 32 + lane < own_chunks) {
                float values[CHUNK];
                widen(values, kept[i]);
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    squares += (values[e] - mean) * (values[e] - mean);
                }
            }
        }
        float factor = 1.0f / sqrtf(warp_sum(squares) / channels + eps);
        if (first == start) {
            copy_wait<0>();
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            int chunk = i * 32 + lane;
            if (chunk < own_chunks) {
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

extern "C" __global__ void __launch_bounds__(MOST_THREADS)
layer_norm_any(const Value* x, const Value* __restrict__ gamma, const Value* __restrict__ beta, Value* y, int rows,
               int channels, int rows_per_block, float eps) {
    int lane = threadIdx.x % 32;
    int end = min((blockIdx.x + 1) * rows_per_block, rows);
    for (int row = blockIdx.x * rows_per_block + threadIdx.x / 32; row < end; row += blockDim.x / 32) {
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
