// Group normalisation, optionally followed by SiLU, of one map or of two side by side:
//
//   x[n, p, :] = a[n, p, :] followed by b[n, p, :]
//   y[n, p, c] = act((x[n, p, c] - mean[n, g]) rstd[n, g] gamma[c] + beta[c]),   g = c / (C / G)
//   mean, variance over all pixels p and the C / G channels of the group; rstd = 1 / sqrt(variance + eps)
//
// Layout   a [N, P, Ca], b [N, P, C - Ca] (absent where Ca = C), joined [N, P, C] or null: where x is written as it is;
//          y [N, P, C] (may be a where that is all), gamma, beta [C].
// Two ways, chosen by GroupNormPlan, which has the model of their cost.
//
// In one launch: group_norm_1, _2, _4, _8 (values that a thread moves at once: the most that divide a group and Ca and are
// aligned). A block has some groups of an image, usually one, and sees all their pixels.
// Cost     x once and y once, plus joined; what a block cannot keep it reads again, from the L2 cache. A group's values lie
//          in runs of w = k C / G values (k groups to a block): at w bytes a multiple of g (the greatest power of two in w, at
//          most 32) a run touches (w + 32 - g) / 32 sectors of 32 bytes, reading and writing. 20 bytes (C = 320, float16): 1.5
//          sectors, 42 % used; 40: 2, 62 %; 60: 2.75, 68 %; 80: 3, 83 %; 160: 5.5, 91 %. What a run leaves of a sector the
//          neighbouring block takes from the L2 cache, so the DRAM sees each byte once. No more than N G / k
//          multiprocessors work, each of which moves 64 bytes per clock at most.
// Design   A thread keeps its channels, all of one group, and walks over pixels, BATCH reads on their way at once. What it
//          read it keeps in shared memory, a column to each thread: neither bank conflicts nor barriers. Sums: per thread,
//          then per warp over the threads of a group, then over those.
//
// In two launches, where one leaves multiprocessors idle for too long: group_norm_statistics, group_norm_apply; C and Ca
// multiples of a chunk, addresses of 16 bytes.
// Cost     x twice and y once, plus joined, in runs of whole lines; one more launch, and what blocks tell each other. Scales and
//          offsets each thread reads once, which for all but a block's first row are in the L1 cache.
// Design   A thread keeps one chunk of channels and walks over pixels, READS of them on their way at once, the first before anything
//          else; a block covers all channels. For each group the last block of the image to finish (a ticket counter per warp)
//          adds the partial sums of all, always in the same order, and writes mean and rstd. joined is written with the
//          statistics and is what is read the second time.
//          Bank conflicts: only where a block adds up its channels per group, and where a thread looks up its groups,
//          both once per block; the strides there are the group sizes.
//
// Both     Statistics: sums of (x - pivot) and (x - pivot)^2 in float32, the pivot being a value of the group in the middle of
//          the image: its border, which convolutions pad, may be far from all else. A usual value is as near to the mean as
//          the values are to each other, so the difference of squares loses nothing even where the mean is large beside the
//          deviation; and as all threads share it, partial sums only have to be added. They are, in an order that does not
//          depend on timing.
//          About 18 instructions per value; SiLU's two special functions alone take 1/8 clock of a multiprocessor.
#include "piece.cuh"

// Two maps side by side as one, seen from a thread's channels: those of one map.
struct Source {
    const Value* data;
    int stride;

    __device__ inline Source(const Value* a, const Value* b, int channels_a, int channels, int channel,
                             long long first_pixel) {
        bool from_a = channel < channels_a;
        stride = from_a ? channels_a : channels - channels_a;
        data = (from_a ? a + channel : b + (channel - channels_a)) + first_pixel * stride;
    }

    __device__ inline const Value* at(int pixel) const { return data + static_cast<long long>(pixel) * stride; }
};

// The pixel that pivots are taken of: the middle one where an image is square, near it elsewhere.
__device__ inline int middle(int pixels) {
    return pixels / 2 + static_cast<int>(sqrtf(pixels)) / 2;
}

// Reads of a thread that are on their way at the same time: 32 bytes. With more, 1024 threads lack registers.
template <int WIDTH>
constexpr int BATCH = Piece<WIDTH>::BYTES == 2 ? 8 : 32 / Piece<WIDTH>::BYTES;

// A thread's share in the one-launch way: pixels row, row + step, ... of a column of WIDTH channels. Where a group has more
// columns than the block has threads, a thread has several, and the block no other group; WIDTH is 1 there.
template <int WIDTH>
__device__ inline void whole(const Value* a, const Value* b, Value* joined, const Value* gamma, const Value* beta, Value* y,
                             int pixels, int channels_a, int channels, unsigned per_group, unsigned groups, int kept,
                             float eps, int with_silu) {
    // Sums (x - pivot, its square) of each thread, of each warp, and of each group; then the values that are kept.
    extern __shared__ float2 shared[];
    float2* of_warp = shared + blockDim.x;
    float2* of_group = of_warp + 32;
    Value* values_kept = reinterpret_cast<Value*>(of_group + 32) + threadIdx.x * WIDTH;

    unsigned slots = groups * per_group / WIDTH;
    unsigned columns = min(slots, blockDim.x);
    int step = blockDim.x / columns;
    int row = threadIdx.x / columns;
    unsigned own = threadIdx.x % columns;
    int rounds = row < step ? (pixels - row + step - 1) / step : 0;
    unsigned group = groups == 1 ? 0 : own * WIDTH / per_group;
    int first_channel = blockIdx.x * groups * per_group;
    long long first_pixel = static_cast<long long>(blockIdx.y) * pixels;

    float pivot = to_float(*Source(a, b, channels_a, channels, first_channel + group * per_group, first_pixel + middle(pixels))
                                .data);
    Piece<WIDTH> scales = load_piece<WIDTH>(gamma + first_channel + own * WIDTH);
    Piece<WIDTH> offsets = load_piece<WIDTH>(beta + first_channel + own * WIDTH);
    float sum = 0.0f;
    float squares = 0.0f;
    unsigned slot = own;
#pragma unroll 1
    do {
        int channel = first_channel + slot * WIDTH;
        Source x(a, b, channels_a, channels, channel, first_pixel + row);
        const Value* next = x.data;
        Value* copy = joined + (first_pixel + row) * channels + channel;
#pragma unroll 1
        for (int i = 0; i < rounds; i += BATCH<WIDTH>) {
            Piece<WIDTH> pieces[BATCH<WIDTH>];
#pragma unroll
            for (int j = 0; j < BATCH<WIDTH>; j++) {
                if (j < rounds - i) {
                    pieces[j] = load_piece<WIDTH>(next);
                }
                next += static_cast<long long>(step) * x.stride;
            }
#pragma unroll
            for (int j = 0; j < BATCH<WIDTH>; j++) {
                if (j < rounds - i) {
                    float values[WIDTH];
                    widen(values, pieces[j]);
#pragma unroll
                    for (int e = 0; e < WIDTH; e++) {
                        float difference = values[e] - pivot;
                        sum += difference;
                        squares += difference * difference;
                    }
                    if (i < kept) {
                        store_piece<WIDTH>(values_kept + (i + j) * blockDim.x * WIDTH, pieces[j]);
                    }
                    if (joined != nullptr) {
                        store_piece<WIDTH>(copy, pieces[j]);
                    }
                }
                copy += static_cast<long long>(step) * channels;
            }
        }
        slot += columns;
    } while (WIDTH == 1 && slot < slots);
    shared[threadIdx.x] = make_float2(sum, squares);
    __syncthreads();

    // Each group's threads in equal parts to warps, and the parts together again.
    unsigned warp = threadIdx.x / 32;
    unsigned lane = threadIdx.x % 32;
    unsigned warps = blockDim.x / 32;
    unsigned parts = max(warps / groups, 1u);
    unsigned group_columns = min(per_group / WIDTH, columns);
#pragma unroll 1
    for (unsigned share = warp; share < groups * parts; share += warps) {
        unsigned start = share % groups * group_columns;
        float2 total = make_float2(0.0f, 0.0f);
#pragma unroll 1
        for (unsigned i = share / groups * 32 + lane; i < group_columns * step; i += parts * 32) {
            float2 both = shared[groups == 1 ? i : i / group_columns * columns + start + i % group_columns];
            total.x += both.x;
            total.y += both.y;
        }
        total.x = warp_sum(total.x);
        total.y = warp_sum(total.y);
        if (lane == 0) {
            of_warp[share] = total;
        }
    }
    __syncthreads();
    float count = static_cast<float>(pixels) * per_group;
#pragma unroll 1
    for (unsigned g = warp; g < groups; g += warps) {
        float2 total = lane < parts ? of_warp[lane * groups + g] : make_float2(0.0f, 0.0f);
        float mean = warp_sum(total.x) / count;
        float variance = fmaxf(warp_sum(total.y) / count - mean * mean, 0.0f);
        if (lane == 0) {
            of_group[g] = make_float2(mean, 1.0f / sqrtf(variance + eps));
        }
    }
    __syncthreads();

    // y = (x - mean) * factor + offset. The mean apart: x * factor + (offset - mean * factor) would lose what a large mean has
    // in common with x.
    float2 statistics = of_group[group];
    float mean = pivot + statistics.x;
    slot = own;
#pragma unroll 1
    do {
        int channel = first_channel + slot * WIDTH;
        if (WIDTH == 1 && slot != own) {
            scales = load_piece<WIDTH>(gamma + channel);
            offsets = load_piece<WIDTH>(beta + channel);
        }
        float factor[WIDTH];
        float offset[WIDTH];
        widen(factor, scales);
        widen(offset, offsets);
#pragma unroll
        for (int e = 0; e < WIDTH; e++) {
            factor[e] *= statistics.y;
        }
        Source x(a, b, channels_a, channels, channel, first_pixel + row);
        const Value* next = x.data;
        Value* target = y + (first_pixel + row) * channels + channel;
#pragma unroll 1
        for (int i = 0; i < rounds; i += BATCH<WIDTH>) {
            Piece<WIDTH> pieces[BATCH<WIDTH>];
            // Apart, so that each is a load of its own kind of memory.
            if (i < kept) {
#pragma unroll
                for (int j = 0; j < BATCH<WIDTH>; j++) {
                    if (j < rounds - i) {
                        pieces[j] = load_piece<WIDTH>(values_kept + (i + j) * blockDim.x * WIDTH);
                    }
                }
                next += static_cast<long long>(step) * x.stride * BATCH<WIDTH>;
            } else {
#pragma unroll
                for (int j = 0; j < BATCH<WIDTH>; j++) {
                    if (j < rounds - i) {
                        pieces[j] = load_piece<WIDTH>(next);
                    }
                    next += static_cast<long long>(step) * x.stride;
                }
            }
#pragma unroll
            for (int j = 0; j < BATCH<WIDTH>; j++) {
                if (j < rounds - i) {
                    float values[WIDTH];
                    widen(values, pieces[j]);
#pragma unroll
                    for (int e = 0; e < WIDTH; e++) {
                        values[e] = (values[e] - mean) * factor[e] + offset[e];
                        if (with_silu) {
                            values[e] = Silu()(values[e]);
                        }
                    }
                    store_piece<WIDTH>(target, narrow_piece<WIDTH>(values));
                }
                target += static_cast<long long>(step) * channels;
            }
        }
        slot += columns;
    } while (WIDTH == 1 && slot < slots);
}

#define GROUP_NORM(WIDTH)                                                                                             \
    extern "C" __global__ void __launch_bounds__(1024)                                                               \
    group_norm_##WIDTH(const Value* a, const Value* b, Value* joined, const Value* __restrict__ gamma,                \
                       const Value* __restrict__ beta, Value* y, int pixels, int channels_a, int channels,            \
                       int per_group, int groups_per_block, int kept, float eps, int with_silu) {                     \
        whole<WIDTH>(a, b, joined, gamma, beta, y, pixels, channels_a, channels, per_group, groups_per_block, kept,  \
                     eps, with_silu);                                                                                 \
    }

GROUP_NORM(1)
GROUP_NORM(2)
GROUP_NORM(4)
#ifndef FLOAT32
GROUP_NORM(8)
#endif

// What a thread of the two-launch way works on: a chunk of channels of the block's pixels row, row + step, ... A block is
// whole warps, so up to 31 threads may be left over: they have no pixels.
struct Slot {
    int channel;
    int row;
    int step;
    unsigned per_group;

    __device__ inline Slot(int channels, unsigned groups) {
        unsigned slots = static_cast<unsigned>(channels) / CHUNK;
        channel = threadIdx.x % slots * CHUNK;
        row = threadIdx.x / slots;
        step = blockDim.x / slots;
        per_group = static_cast<unsigned>(channels) / groups;
    }

    // How many of the block's pixels, `first` and those after it, are the thread's.
    __device__ inline int rounds(int first, int pixels_per_block, int pixels) const {
        return row < step ? (min(pixels - first, pixels_per_block) - row + step - 1) / step : 0;
    }

    // Calls use(e, group of channel e) for each channel of the chunk.
    template <typename Use>
    __device__ inline void each_group(Use use) const {
        unsigned group = channel / per_group;
        int next = (group + 1) * per_group - channel;
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            if (e == next) {
                group++;
                next += per_group;
            }
            use(e, group);
        }
    }
};

// Reads of a thread of the two-launch way that are on their way at the same time: 64 bytes, and 64 KiB of a multiprocessor.
constexpr int READS = 4;

// The next chunks of those that are left, `stride` values from one to the next.
__device__ inline void read(Chunk (&chunks)[READS], const Value* from, long long stride, int left) {
#pragma unroll
    for (int j = 0; j < READS; j++) {
        if (j < left) {
            chunks[j] = load_chunk(from, CHUNK, true);
        }
        from += stride;
    }
}

// Each warp adds up for four groups at a time, lanes 0, 4, 8 ... for the first of them: this is the sum over such lanes.
constexpr unsigned WARP_GROUPS = 4;

__device__ inline float fourth_lanes_sum(float x) {
#pragma unroll
    for (int offset = 16; offset >= WARP_GROUPS; offset /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, offset);
    }
    return x;
}

extern "C" __global__ void __launch_bounds__(1024)
group_norm_statistics(const Value* __restrict__ a, const Value* __restrict__ b, Value* __restrict__ joined, float2* partial,
                      float2* result, unsigned* tickets, int pixels, int channels_a, int channels, int all_groups,
                      int pixels_per_block, float eps) {
    // (sum, sum of squares) of each thread's channels, then the pivots of the groups.
    extern __shared__ float2 shared_sums[];
    float* pivots = reinterpret_cast<float*>(shared_sums + blockDim.x * CHUNK);

    int image = blockIdx.y;
    unsigned groups = all_groups;
    long long first_pixel = static_cast<long long>(image) * pixels;
    Slot slot(channels, groups);
    int first = blockIdx.x * pixels_per_block;
    int left = slot.rounds(first, pixels_per_block, pixels);
    Source x(a, b, channels_a, channels, slot.channel, first_pixel + first + slot.row);
    const Value* next = x.data;
    long long stride = static_cast<long long>(slot.step) * x.stride;
    Value* copy = joined + (first_pixel + first + slot.row) * channels + slot.channel;

    // Under way while the pivots are.
    Chunk chunks[READS];
    read(chunks, next, stride, left);
#pragma unroll 1
    for (unsigned g = threadIdx.x; g < groups; g += blockDim.x) {
        pivots[g] = to_float(*Source(a, b, channels_a, channels, g * slot.per_group, first_pixel + middle(pixels)).data);
    }
    __syncthreads();
    float pivot[CHUNK];
    float sum[CHUNK];
    float squares[CHUNK];
    slot.each_group([&](int e, unsigned group) {
        pivot[e] = pivots[group];
        sum[e] = squares[e] = 0.0f;
    });
#pragma unroll 1
    while (left > 0) {
#pragma unroll
        for (int j = 0; j < READS; j++) {
            if (j < left) {
                float values[CHUNK];
                widen(values, chunks[j]);
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    float difference = values[e] - pivot[e];
                    sum[e] += difference;
                    squares[e] += difference * difference;
                }
                if (joined != nullptr) {
                    store_chunk(copy, chunks[j], CHUNK, true);
                }
            }
            copy += static_cast<long long>(slot.step) * channels;
        }
        left -= READS;
        next += stride * READS;
        read(chunks, next, stride, left);
    }
    // Value e of every thread lies beside value e of its neighbours: consecutive threads, consecutive banks.
#pragma unroll
    for (int e = 0; e < CHUNK; e++) {
        shared_sums[e * blockDim.x + threadIdx.x] = make_float2(sum[e], squares[e]);
    }
    __syncthreads();

    // Each channel over the rows of threads, into the place of the first row.
    unsigned slots = static_cast<unsigned>(channels) / CHUNK;
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < channels; i += blockDim.x) {
        float2* place = shared_sums + i / slots * blockDim.x + i % slots;
        float2 total = *place;
#pragma unroll 1
        for (int row = 1; row < slot.step; row++) {
            float2 both = place[row * slots];
            total.x += both.x;
            total.y += both.y;
        }
        *place = total;
    }
    __syncthreads();

    // Each group over its channels.
    unsigned warp = threadIdx.x / 32;
    unsigned lane = threadIdx.x % 32;
    unsigned first_group = warp * WARP_GROUPS;
    unsigned group_step = blockDim.x / 32 * WARP_GROUPS;
    if (first_group >= groups) {
        return;
    }
    float2* own = partial + (static_cast<long long>(image) * gridDim.x + blockIdx.x) * groups;
#pragma unroll 1
    for (unsigned begin = first_group; begin < groups; begin += group_step) {
        unsigned g = begin + lane % WARP_GROUPS;
        float2 total = make_float2(0.0f, 0.0f);
#pragma unroll 1
        for (unsigned i = lane / WARP_GROUPS; i < slot.per_group && g < groups; i += 32 / WARP_GROUPS) {
            unsigned channel = g * slot.per_group + i;
            float2 both = shared_sums[channel % CHUNK * blockDim.x + channel / CHUNK];
            total.x += both.x;
            total.y += both.y;
        }
        total.x = fourth_lanes_sum(total.x);
        total.y = fourth_lanes_sum(total.y);
        if (lane < WARP_GROUPS && g < groups) {
            own[g] = total;
        }
    }

    // Warp w of every block has the same groups, so it is enough to know which of these warps is the last one: lane 0 makes all
    // of its warp's sums visible and takes a ticket.
    __syncwarp();
    unsigned ticket = 0;
    if (lane == 0) {
        __threadfence();
        ticket = atomicAdd(&tickets[image * 32 + warp], 1u);
    }
    if (__shfl_sync(0xffffffffu, ticket, 0) != gridDim.x - 1) {
        return;
    }
    // The shuffle passes on the ticket, but not what lane 0 has seen of other blocks.
    __syncwarp();
    __threadfence();
    float count = static_cast<float>(pixels) * slot.per_group;
    const float2* all = partial + static_cast<long long>(image) * gridDim.x * groups;
#pragma unroll 1
    for (unsigned begin = first_group; begin < groups; begin += group_step) {
        unsigned g = begin + lane % WARP_GROUPS;
        float2 total = make_float2(0.0f, 0.0f);
        if (g < groups) {
#pragma unroll 4
            for (unsigned block = lane / WARP_GROUPS; block < gridDim.x; block += 32 / WARP_GROUPS) {
                // Past the L1 cache, which knows nothing of what other blocks wrote.
                float2 both = __ldcg(&all[block * groups + g]);
                total.x += both.x;
                total.y += both.y;
            }
        }
        float mean = fourth_lanes_sum(total.x) / count;
        float variance = fmaxf(fourth_lanes_sum(total.y) / count - mean * mean, 0.0f);
        if (lane < WARP_GROUPS && g < groups) {
            result[image * groups + g] = make_float2(pivots[g] + mean, 1.0f / sqrtf(variance + eps));
        }
    }
    if (lane == 0) {
        tickets[image * 32 + warp] = 0;
    }
}

extern "C" __global__ void __launch_bounds__(1024)
group_norm_apply(const Value* x, const float2* __restrict__ statistics, const Value* __restrict__ gamma,
                 const Value* __restrict__ beta, Value* y, int pixels, int channels, int all_groups, int pixels_per_block,
                 int with_silu) {
    extern __shared__ float2 of_group[];
    int image = blockIdx.y;
    unsigned groups = all_groups;
    Slot slot(channels, groups);
    int first = blockIdx.x * pixels_per_block;
    int left = slot.rounds(first, pixels_per_block, pixels);
    long long stride = static_cast<long long>(slot.step) * channels;
    long long start = (static_cast<long long>(image) * pixels + first + slot.row) * channels + slot.channel;
    const Value* next = x + start;
    Value* target = y + start;

    // Under way while the statistics are.
    Chunk chunks[READS];
    read(chunks, next, stride, left);
    Chunk scales = load_chunk(gamma + slot.channel, CHUNK, true);
    Chunk offsets = load_chunk(beta + slot.channel, CHUNK, true);
#pragma unroll 1
    for (unsigned g = threadIdx.x; g < groups; g += blockDim.x) {
        of_group[g] = statistics[image * groups + g];
    }
    __syncthreads();

    // y = (x - mean) * factor + offset, per channel. The mean apart: x * factor + (offset - mean * factor) would lose what a
    // large mean has in common with x.
    float mean[CHUNK];
    float factor[CHUNK];
    float offset[CHUNK];
    widen(factor, scales);
    widen(offset, offsets);
    slot.each_group([&](int e, unsigned group) {
        float2 both = of_group[group];
        mean[e] = both.x;
        factor[e] *= both.y;
    });
#pragma unroll 1
    while (left > 0) {
#pragma unroll
        for (int j = 0; j < READS; j++) {
            if (j < left) {
                float values[CHUNK];
                widen(values, chunks[j]);
#pragma unroll
                for (int e = 0; e < CHUNK; e++) {
                    values[e] = (values[e] - mean[e]) * factor[e] + offset[e];
                }
                if (with_silu) {
#pragma unroll
                    for (int e = 0; e < CHUNK; e++) {
                        values[e] = Silu()(values[e]);
                    }
                }
                store_chunk(target, narrow(values), CHUNK, true);
            }
            target += stride;
        }
        left -= READS;
        next += stride * READS;
        read(chunks, next, stride, left);
    }
}
