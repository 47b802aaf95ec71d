// Group normalisation, optionally followed by SiLU:
//
//   y[n, p, c] = act((x[n, p, c] - mean[n, g]) rstd[n, g] gamma[c] + beta[c]),   g = c / (C / G)
//   mean, variance over all pixels p and the C / G channels of the group; rstd = 1 / sqrt(variance + eps)
//
// Layout   x, y [N, P, C] (P = H W; y may be x), gamma, beta [C].
// Cost     Two launches; reads x twice and writes y: 3 N P C values. A group's values lie in pieces of C / G (10 for
//          C = 320), scattered over an image of up to 2.6 MB: no block can hold them, so once through for the statistics
//          and once for the result is the minimum on this layout; at SD 1.x sizes the second reading comes out of the L2
//          cache. About 10 FLOPs per value; bound by memory. gamma and beta: 2 values for 16 pixels.
// Design   A thread keeps one chunk of channels (group_norm_*_any, where C is no multiple of a chunk or addresses are
//          unaligned: one channel) and walks over pixels; a block covers all channels, so that every access is a run of
//          whole lines. More channels than fit that way, which no known model has, go to group_norm_wide.
//          Statistics: sums of (x - pivot) and (x - pivot)^2 in float32, the pivot being the group's first value in the
//          image. Being a sample of the group, it is as near to the mean as the values are to each other, so the
//          difference of squares loses nothing even where the mean is large beside the deviation; and as all blocks
//          share it, partial sums only have to be added. For each group the last block of the image to finish (a ticket
//          counter per warp) adds the partial sums of all, always in the same order, and writes mean and rstd: results do
//          not depend on timing.
//          Bank conflicts: only where a block adds up its threads' sums per group, and where a thread looks up its groups,
//          both once per block; the strides there are the group sizes.
#include "common.cuh"

// What a thread works on: WIDTH channels from `channel` on, of the block's pixels row, row + step, ... A block is whole
// warps, so up to 31 threads may be left over: they have no pixels.
template <int WIDTH>
struct Slot {
    int channel;
    int row;
    int step;

    __device__ inline explicit Slot(int channels) {
        unsigned slots = static_cast<unsigned>(channels) / WIDTH;
        channel = threadIdx.x % slots * WIDTH;
        row = threadIdx.x / slots;
        step = blockDim.x / slots;
    }

    // One past the last pixel of a block that starts at `first`.
    __device__ inline int end(int first, int pixels_per_block, int pixels) const {
        return row < step ? min(first + pixels_per_block, pixels) : 0;
    }
};

template <int WIDTH>
__device__ inline void load_values(float (&x)[WIDTH], const Value* source) {
    if constexpr (WIDTH == CHUNK) {
        widen(x, load_chunk(source, CHUNK, true));
    } else {
        x[0] = to_float(*source);
    }
}

template <int WIDTH>
__device__ inline void statistics(const Value* x, float2* partial, float2* result, unsigned* tickets, int pixels,
                                  int channels, unsigned groups, int pixels_per_block, float eps) {
    // Pivots of the groups, then (sum, sum of squares) of each thread's channels.
    extern __shared__ float2 shared_sums[];
    float* pivots = reinterpret_cast<float*>(shared_sums + blockDim.x * WIDTH);

    int image = blockIdx.y;
    unsigned per_group = static_cast<unsigned>(channels) / groups;
    const Value* data = x + static_cast<long long>(image) * pixels * channels;
#pragma unroll 1
    for (unsigned g = threadIdx.x; g < groups; g += blockDim.x) {
        pivots[g] = to_float(data[g * per_group]);
    }
    __syncthreads();

    Slot<WIDTH> slot(channels);
    float pivot[WIDTH];
    float sum[WIDTH];
    float squares[WIDTH];
#pragma unroll
    for (int e = 0; e < WIDTH; e++) {
        pivot[e] = pivots[(slot.channel + e) / per_group];
        sum[e] = squares[e] = 0.0f;
    }
    int first = blockIdx.x * pixels_per_block;
    int end = slot.end(first, pixels_per_block, pixels);
#pragma unroll 4
    for (int pixel = first + slot.row; pixel < end; pixel += slot.step) {
        float values[WIDTH];
        load_values(values, data + static_cast<long long>(pixel) * channels + slot.channel);
#pragma unroll
        for (int e = 0; e < WIDTH; e++) {
            float difference = values[e] - pivot[e];
            sum[e] += difference;
            squares[e] += difference * difference;
        }
    }
    // Value e of every thread lies beside value e of its neighbours: consecutive threads, consecutive banks.
#pragma unroll
    for (int e = 0; e < WIDTH; e++) {
        shared_sums[e * blockDim.x + threadIdx.x] = make_float2(sum[e], squares[e]);
    }
    __syncthreads();

    unsigned warp = threadIdx.x / 32;
    unsigned lane = threadIdx.x % 32;
    unsigned warps = blockDim.x / 32;
    unsigned slots = static_cast<unsigned>(channels) / WIDTH;
    for (unsigned g = warp; g < groups; g += warps) {
        float total = 0.0f;
        float total_squares = 0.0f;
#pragma unroll 1
        for (unsigned i = lane; i < per_group * slot.step; i += 32) {
            unsigned channel = g * per_group + i % per_group;
            unsigned thread = i / per_group * slots + channel / WIDTH;
            float2 both = shared_sums[channel % WIDTH * blockDim.x + thread];
            total += both.x;
            total_squares += both.y;
        }
        total = warp_sum(total);
        total_squares = warp_sum(total_squares);
        if (lane == 0) {
            partial[(static_cast<long long>(image) * groups + g) * gridDim.x + blockIdx.x] =
                make_float2(total, total_squares);
        }
    }

    // Warp w of every block has the same groups, so it is enough to know which of these warps is the last one: its lane 0
    // wrote all of the warp's sums, makes them visible and takes a ticket.
    unsigned ticket = 0;
    if (lane == 0) {
        __threadfence();
        ticket = atomicAdd(&tickets[image * 32 + warp], 1u);
    }
    if (__shfl_sync(0xffffffffu, ticket, 0) != gridDim.x - 1) {
        return;
    }
    __threadfence();
    float count = static_cast<float>(pixels) * per_group;
    for (unsigned g = warp; g < groups; g += warps) {
        float total = 0.0f;
        float total_squares = 0.0f;
#pragma unroll 1
        for (unsigned block = lane; block < gridDim.x; block += 32) {
            // Past the L1 cache, which knows nothing of what other blocks wrote.
            float2 both = __ldcg(&partial[(static_cast<long long>(image) * groups + g) * gridDim.x + block]);
            total += both.x;
            total_squares += both.y;
        }
        total = warp_sum(total) / count;
        total_squares = warp_sum(total_squares) / count;
        if (lane == 0) {
            float variance = fmaxf(total_squares - total * total, 0.0f);
            result[image * groups + g] = make_float2(pivots[g] + total, 1.0f / sqrtf(variance + eps));
        }
    }
    if (lane == 0) {
        tickets[image * 32 + warp] = 0;
    }
}

template <int WIDTH>
__device__ inline void apply(const Value* x, const float2* statistics, const Value* gamma, const Value* beta,
                             Value* y, int pixels, int channels, unsigned groups, int pixels_per_block, int with_silu) {
    extern __shared__ float2 of_group[];
    int image = blockIdx.y;
    unsigned per_group = static_cast<unsigned>(channels) / groups;
#pragma unroll 1
    for (unsigned g = threadIdx.x; g < groups; g += blockDim.x) {
        of_group[g] = statistics[image * groups + g];
    }
    __syncthreads();

    // y = (x - mean) * factor + offset, per channel. The mean apart: x * factor + (offset - mean * factor) would lose what a
    // large mean has in common with x.
    Slot<WIDTH> slot(channels);
    float mean[WIDTH];
    float factor[WIDTH];
    float offset[WIDTH];
    load_values(factor, gamma + slot.channel);
    load_values(offset, beta + slot.channel);
#pragma unroll
    for (int e = 0; e < WIDTH; e++) {
        float2 both = of_group[(slot.channel + e) / per_group];
        mean[e] = both.x;
        factor[e] *= both.y;
    }
    long long start = static_cast<long long>(image) * pixels * channels + slot.channel;
    int first = blockIdx.x * pixels_per_block;
    int end = slot.end(first, pixels_per_block, pixels);
#pragma unroll 4
    for (int pixel = first + slot.row; pixel < end; pixel += slot.step) {
        long long place = start + static_cast<long long>(pixel) * channels;
        float values[WIDTH];
        load_values(values, x + place);
#pragma unroll
        for (int e = 0; e < WIDTH; e++) {
            values[e] = (values[e] - mean[e]) * factor[e] + offset[e];
            if (with_silu) {
                values[e] = Silu()(values[e]);
            }
        }
        if constexpr (WIDTH == CHUNK) {
            store_chunk(y + place, narrow(values), CHUNK, true);
        } else {
            y[place] = to_value(values[0]);
        }
    }
}

#define GROUP_NORM(suffix, WIDTH)                                                                                    \
    extern "C" __global__ void __launch_bounds__(1024)                                                               \
    group_norm_statistics##suffix(const Value* __restrict__ x, float2* partial, float2* result, unsigned* tickets,  \
                                  int pixels, int channels, int groups, int pixels_per_block, float eps) {           \
        statistics<WIDTH>(x, partial, result, tickets, pixels, channels, groups, pixels_per_block, eps);             \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(1024)                                                               \
    group_norm_apply##suffix(const Value* x, const float2* __restrict__ statistics,                                 \
                             const Value* __restrict__ gamma, const Value* __restrict__ beta, Value* y,           \
                             int pixels, int channels, int groups, int pixels_per_block, int with_silu) {            \
        apply<WIDTH>(x, statistics, gamma, beta, y, pixels, channels, groups, pixels_per_block, with_silu);          \
    }

GROUP_NORM(, CHUNK)
GROUP_NORM(_any, 1)

// Any size in one launch, three times through the values: a block per group (x) of an image (y), its warps each a pixel.
extern "C" __global__ void __launch_bounds__(256)
group_norm_wide(const Value* x, const Value* __restrict__ gamma, const Value* __restrict__ beta, Value* y, int pixels,
                int channels, int groups, float eps, int with_silu) {
    __shared__ float sums[2][8];
    int warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    int per_group = channels / groups;
    int first = blockIdx.x * per_group;
    long long start = static_cast<long long>(blockIdx.y) * pixels * channels + first;
    float count = static_cast<float>(pixels) * per_group;
    // The sum over the block, the same in all threads; once for each place.
    auto total = [&](float x, int place) {
        x = warp_sum(x);
        if (lane == 0) {
            sums[place][warp] = x;
        }
        __syncthreads();
        float all = sums[place][0];
#pragma unroll
        for (int w = 1; w < 8; w++) {
            all += sums[place][w];
        }
        return all;
    };

    float sum = 0.0f;
#pragma unroll 1
    for (int pixel = warp; pixel < pixels; pixel += 8) {
#pragma unroll 1
        for (int c = lane; c < per_group; c += 32) {
            sum += to_float(x[start + static_cast<long long>(pixel) * channels + c]);
        }
    }
    float mean = total(sum, 0) / count;
    float squares = 0.0f;
#pragma unroll 1
    for (int pixel = warp; pixel < pixels; pixel += 8) {
#pragma unroll 1
        for (int c = lane; c < per_group; c += 32) {
            float difference = to_float(x[start + static_cast<long long>(pixel) * channels + c]) - mean;
            squares += difference * difference;
        }
    }
    float rstd = 1.0f / sqrtf(total(squares, 1) / count + eps);
#pragma unroll 1
    for (int pixel = warp; pixel < pixels; pixel += 8) {
#pragma unroll 1
        for (int c = lane; c < per_group; c += 32) {
            long long place = start + static_cast<long long>(pixel) * channels + c;
            float value = (to_float(x[place]) - mean) * rstd * to_float(gamma[first + c]) + to_float(beta[first + c]);
            y[place] = to_value(with_silu ? Silu()(value) : value);
        }
    }
}
