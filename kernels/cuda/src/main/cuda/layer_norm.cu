// Layer normalisation: y[r, c] = (x[r, c] - mean[r]) / sqrt(variance[r] + eps) gamma[c] + beta[c], statistics per row.
//
// Layout   x, y [R, C] float16 (y may be x), gamma, beta [C] float16.
// Cost     4 R C bytes, plus gamma and beta once per block; about 8 FLOPs per value; bound by memory.
// Design   One warp per row, eight warps per block. layer_norm: C a multiple of 8 up to 2048 and addresses multiples of
//          16 bytes: the row stays in registers, so x is read once and the variance is the true sum of squared
//          distances from the mean. gamma and beta are read once per block into shared memory.
//          layer_norm_any: any C and alignment, value by value, three readings of x of which two hit the L1 cache.
#include "common.cuh"

namespace {
constexpr int WARPS = 8;
constexpr int MOST = 8;
}  // namespace

extern "C" __global__ void __launch_bounds__(WARPS * 32)
layer_norm(const __half* x, const __half* __restrict__ gamma, const __half* __restrict__ beta, __half* y, int rows,
           int channels, int rows_per_block, float eps) {
    extern __shared__ uint4 shared[];
    int chunks = channels / 8;
    uint32_t gammas = shared_address(shared);
    uint32_t betas = gammas + chunks * 16;
    // No row has more chunks than a block has threads.
    static_assert(MOST * 32 <= WARPS * 32, "one chunk per thread");
    int own = threadIdx.x;
    if (own < chunks) {
        store_shared_chunk(gammas + own * 16, load_chunk(gamma + own * 8, 8, true));
        store_shared_chunk(betas + own * 16, load_chunk(beta + own * 8, 8, true));
    }
    __syncthreads();

    int lane = threadIdx.x % 32;
    int end = min((blockIdx.x + 1) * rows_per_block, rows);
    for (int row = blockIdx.x * rows_per_block + threadIdx.x / 32; row < end; row += WARPS) {
        const __half* source = x + static_cast<long long>(row) * channels;
        Chunk kept[MOST];
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            int chunk = i * 32 + lane;
            if (chunk < chunks) {
                kept[i] = load_chunk(source + chunk * 8, 8, true);
                float values[8];
                widen(values, kept[i]);
#pragma unroll
                for (int e = 0; e < 8; e++) {
                    sum += values[e];
                }
            }
        }
        float mean = warp_sum(sum) / channels;
        float squares = 0.0f;
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            if (i * 32 + lane < chunks) {
                float values[8];
                widen(values, kept[i]);
#pragma unroll
                for (int e = 0; e < 8; e++) {
                    squares += (values[e] - mean) * (values[e] - mean);
                }
            }
        }
        float factor = 1.0f / sqrtf(warp_sum(squares) / channels + eps);
#pragma unroll
        for (int i = 0; i < MOST; i++) {
            int chunk = i * 32 + lane;
            if (chunk < chunks) {
                float values[8];
                float scales[8];
                float offsets[8];
                widen(values, kept[i]);
                widen(scales, load_shared_chunk(gammas + chunk * 16));
                widen(offsets, load_shared_chunk(betas + chunk * 16));
#pragma unroll
                for (int e = 0; e < 8; e++) {
                    values[e] = (values[e] - mean) * factor * scales[e] + offsets[e];
                }
                store_chunk(y + static_cast<long long>(row) * channels + chunk * 8, narrow(values), 8, true);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(WARPS * 32)
layer_norm_any(const __half* x, const __half* __restrict__ gamma, const __half* __restrict__ beta, __half* y, int rows,
               int channels, int rows_per_block, float eps) {
    int lane = threadIdx.x % 32;
    int end = min((blockIdx.x + 1) * rows_per_block, rows);
    for (int row = blockIdx.x * rows_per_block + threadIdx.x / 32; row < end; row += WARPS) {
        const __half* source = x + static_cast<long long>(row) * channels;
        __half* target = y + static_cast<long long>(row) * channels;
        float sum = 0.0f;
#pragma unroll 1
        for (int c = lane; c < channels; c += 32) {
            sum += __half2float(source[c]);
        }
        float mean = warp_sum(sum) / channels;
        float squares = 0.0f;
#pragma unroll 1
        for (int c = lane; c < channels; c += 32) {
            float difference = __half2float(source[c]) - mean;
            squares += difference * difference;
        }
        float factor = 1.0f / sqrtf(warp_sum(squares) / channels + eps);
#pragma unroll 1
        for (int c = lane; c < channels; c += 32) {
            target[c] = __float2half((__half2float(source[c]) - mean) * factor * __half2float(gamma[c])
                                     + __half2float(beta[c]));
        }
    }
}
