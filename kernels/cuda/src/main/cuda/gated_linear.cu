// The gated feed-forward's first half with the layer norm in front of it, in one launch:
//
//   y[r, j] = (n[r] Wv[j] + bv[j]) gelu(n[r] Wg[j] + bg[j]),   n[r, k] = (x[r, k] - mean[r]) rstd[r] gamma[k] + beta[k]
//
// Nothing normalised is ever written: with W' = W diag(gamma) in the library's type, s[j] = sum_k W'[j, k] and
// b'[j] = b[j] + sum_k beta[k] W[j, k], all three made once,
//
//   n[r] W[j] + b[j] = rstd[r] (x[r] W'[j] - mean[r] s[j]) + b'[j]
//
// s is float32 and of the rounded W', so that whatever the rows have in common cancels as far as the sums go. Tensor cores cut
// a sum to float32 after each block of products instead of rounding it: 8 products on an A100, 16 on an H100 (Fasi, Higham,
// Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores, 2021). That biases x W' toward zero, by up to about
// (K / 8) 2^-23 |mean s|, which is then multiplied by rstd.
//
// Layout   x [R, K], W' [2 F, K] (values, then gates), s float32 [2 F], b' [2 F], y [R, F]. K a multiple of 32, F of 8,
//          addresses of 16 bytes. 16-bit types only.
// Cost     4 R F K FLOPs; reads x and W', writes y: R (K + F) + 2 F K values. The layer norm, the product's [R, 2 F] and
//          its way back into a kernel for GEGLU, which are 2 R (K + 2 F) values more, are gone.
// Design   A block has 128 rows and 64 columns of y: a product of 128 x 128, as the gates of its columns are beside the
//          values. Four warps of 64 rows and 32 columns each: 4 x 8 mma m16n8k16 in every 16 of K from 8 ldmatrix.x4, and
//          value and gate of a result in the same thread, so that GEGLU happens in registers.
//          Tiles of 32 of K arrive by cp.async into three buffers, swizzled as in tiles.cuh: two are under way while one is
//          multiplied, with one barrier per tile. After the last tile s and b' come the same way.
//          A block sees all of its rows, so mean and rstd cost no pass of their own: each thread sums one row of every
//          tile, (x - pivot) and (x - pivot)^2 in float32, the pivot being the row's first value. As a member of the row
//          it is at most sqrt(K) deviations off the mean, so the difference of squares loses at most a factor of K of
//          float32's precision, however large the mean is beside the deviation.
//          Results pass through shared memory to leave as runs of 64 bytes.
//          128 threads with at most 255 registers and 48 KiB: two blocks per SM on every chip since 8.0, so that one
//          multiplies while the other is in its epilogue. Per tile a warp issues 64 mma, which keep its tensor core busy for
//          512 cycles on an A100, beside about 190 other instructions, 130 of them the statistics; the epilogue is
//          about 1600 per warp. So a scheduler issues in 80 % of the mma's cycles for K = 320, 65 % for 640, 57 % for 1280:
//          60 to 70 % of the peak of mma.sync is what can be hoped for. Shared memory is
//          busy for 7/8 of the mma's time: 8 x 512 bytes of fragments, 2 KiB of copies and 1 KiB of statistics per 16 of K
//          and warp against 64 cycles.
//          The larger operand comes from memory once: where it is W', blocks of the same columns follow each other, where it
//          is x, blocks of the same rows. The other one is read again for each of them, out of the L2 cache if it fits.
#include "tiles.cuh"

namespace {
constexpr int ROWS = 128;
constexpr int COLUMNS = 64;
constexpr int DEPTH = 32;
constexpr int THREADS = 128;
constexpr int STAGES = 3;

// Of a block: 128 rows of x or of W' in 32 of K.
constexpr uint32_t TILE = ROWS * DEPTH * 2;
constexpr uint32_t STAGE = 2 * TILE;
constexpr int CHUNKS = DEPTH / 8;
// Rows that the block's threads copy at once.
constexpr int PASS = THREADS / CHUNKS;

// Of a warp.
constexpr int WARP_ROWS = 64;
constexpr int WARP_COLUMNS = 32;
constexpr int MT = WARP_ROWS / 16;
constexpr int NT = WARP_COLUMNS / 8;

__device__ inline float2 load_shared_pair(uint32_t address) {
    float2 pair;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(pair.x), "=f"(pair.y) : "r"(address) : "memory");
    return pair;
}

__device__ inline void store_shared_pair(uint32_t address, float x, float y) {
    asm volatile("st.shared.v2.f32 [%0], {%1,%2};" ::"r"(address), "f"(x), "f"(y) : "memory");
}

__device__ inline uint32_t load_shared_word(uint32_t address) {
    uint32_t word;
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(address) : "memory");
    return word;
}

__device__ inline void store_shared_word(uint32_t address, uint32_t word) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(word) : "memory");
}

// x Phi(x), off by 3e-7 at most, in half the instructions of erff: max(x, 0) - |x| erfc(|x| / sqrt 2) / 2, with erfc by
// Abramowitz and Stegun, 7.1.26.
__device__ inline float gelu(float x) {
    float t;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(t) : "f"(fmaf(fabsf(x), 0.23164189f, 1.0f)));
    float half_erfc = fmaf(t, 0.53070271f, -0.72657601f);
    half_erfc = fmaf(half_erfc, t, 0.71070687f);
    half_erfc = fmaf(half_erfc, t, -0.14224837f);
    half_erfc = fmaf(half_erfc, t, 0.12741480f);
    half_erfc *= t * exp2_fast(x * x * (-0.5f * LOG2_E));
    return fmaf(-fabsf(x), half_erfc, fmaxf(x, 0.0f));
}

// The sums of one row, which tell its mean and deviation.
struct Statistics {
    float pivot;
    float sum;
    float squares;

    __device__ inline void add(const Chunk& chunk) {
        float x[CHUNK];
        widen(x, chunk);
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            x[e] -= pivot;
        }
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            squares = fmaf(x[e], x[e], squares);
        }
        sum += ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
    }
};
}  // namespace

extern "C" __global__ void __launch_bounds__(THREADS, 2)
gated_linear(const Value* __restrict__ x, const Value* __restrict__ weights, const float* __restrict__ sums,
             const Value* __restrict__ bias, Value* __restrict__ y, int rows, int depth, int columns, float eps,
             int same_rows_follow) {
    extern __shared__ uint4 shared[];
    unsigned warp = threadIdx.x / 32;
    unsigned lane = threadIdx.x % 32;
    int first_row = (same_rows_follow ? blockIdx.y : blockIdx.x) * ROWS;
    int first_column = (same_rows_follow ? blockIdx.x : blockIdx.y) * COLUMNS;
    uint32_t buffers = shared_address(shared);
    int tiles = depth / DEPTH;

    // What this thread copies of each tile: one chunk of every PASS-th row.
    int copy_row = threadIdx.x / CHUNKS;
    int copy_chunk = threadIdx.x % CHUNKS;
    const Value* x_data = x + static_cast<long long>(first_row + copy_row) * depth + copy_chunk * 8;
    const Value* value_data = weights + static_cast<long long>(first_column + copy_row) * depth + copy_chunk * 8;
    const Value* gate_data = value_data + static_cast<long long>(columns) * depth;
    uint32_t copy_place = chunk_offset<DEPTH>(copy_row, copy_chunk);

    auto fetch_tile = [&](uint32_t buffer) {
#pragma unroll
        for (int pass = 0; pass < ROWS / PASS; pass++) {
            copy_async(buffer + copy_place + pass * PASS * DEPTH * 2, x_data + pass * PASS * depth,
                       first_row + copy_row + pass * PASS < rows);
        }
#pragma unroll
        for (int pass = 0; pass < COLUMNS / PASS; pass++) {
            bool valid = first_column + copy_row + pass * PASS < columns;
            uint32_t target = buffer + TILE + copy_place + pass * PASS * DEPTH * 2;
            copy_async(target, value_data + pass * PASS * depth, valid);
            copy_async(target + COLUMNS * DEPTH * 2, gate_data + pass * PASS * depth, valid);
        }
        x_data += DEPTH;
        value_data += DEPTH;
        gate_data += DEPTH;
    };
    // After the last tile s and b' of the block's columns: values' s, gates' s, values' b', gates' b'.
    auto fetch = [&](int tile, uint32_t buffer) {
        if (tile < tiles) {
            fetch_tile(buffer);
        } else if (tile == tiles && threadIdx.x < 48) {
            // Chunks of four s, then of eight b'.
            bool is_sum = threadIdx.x < 32;
            int part = is_sum ? threadIdx.x / 16 : (threadIdx.x - 32) / 8;
            int column = first_column + (is_sum ? threadIdx.x % 16 * 4 : threadIdx.x % 8 * 8);
            int place = part * columns + column;
            const void* source = is_sum ? static_cast<const void*>(sums + place) : static_cast<const void*>(bias + place);
            copy_async(buffer + threadIdx.x * 16, source, column < columns);
        }
        copy_commit();
    };
    auto after = [&](uint32_t buffer) { return buffer + STAGE < buffers + STAGES * STAGE ? buffer + STAGE : buffers; };

    uint32_t current = buffers;
    uint32_t next = buffers + 2 * STAGE;
    fetch_tile(buffers);
    copy_commit();
    fetch(1, buffers + STAGE);

    Statistics statistics = {};
    {
        int row = first_row + threadIdx.x;
        statistics.pivot = row < rows ? to_float(x[static_cast<long long>(row) * depth]) : 0.0f;
    }
    // One row, chunk 0; the others are at an exclusive or of their number.
    uint32_t own_row = chunk_offset<DEPTH>(threadIdx.x, 0);

    // Where the warp's fragments lie: of x, lanes 0-15 address one chunk of rows 0-15 and lanes 16-31 the next; of W', lanes
    // 0-7 and 8-15 address the two chunks of rows 0-7, lanes 16-31 those of rows 8-15.
    int warp_row = warp / 2 * WARP_ROWS;
    int warp_column = warp % 2 * WARP_COLUMNS;
    uint32_t x_place = chunk_offset<DEPTH>(warp_row + (lane & 15), lane >> 4);
    uint32_t w_place = TILE + chunk_offset<DEPTH>(warp_column + (lane & 7) + ((lane >> 4) << 3), (lane >> 3) & 1);

    float value[MT][NT][4] = {};
    float gate[MT][NT][4] = {};

#pragma unroll 1
    for (int tile = 0; tile < tiles; tile++) {
        copy_wait<1>();
        __syncthreads();
        fetch(tile + 2, next);
#pragma unroll
        for (int step = 0; step < DEPTH / 16; step++) {
            // A step is two chunks further: in the place, an exclusive or.
            uint32_t a[MT][4];
#pragma unroll
            for (int m = 0; m < MT; m++) {
                load_matrix_x4(a[m], current + (x_place ^ step << 5) + m * 16 * DEPTH * 2);
            }
#pragma unroll
            for (int n = 0; n < NT; n += 2) {
                uint32_t b[4];
                load_matrix_x4(b, current + (w_place ^ step << 5) + n * 8 * DEPTH * 2);
#pragma unroll
                for (int m = 0; m < MT; m++) {
                    multiply(value[m][n], a[m], b[0], b[1]);
                    multiply(value[m][n + 1], a[m], b[2], b[3]);
                }
                load_matrix_x4(b, current + (w_place ^ step << 5) + (COLUMNS + n * 8) * DEPTH * 2);
#pragma unroll
                for (int m = 0; m < MT; m++) {
                    multiply(gate[m][n], a[m], b[0], b[1]);
                    multiply(gate[m][n + 1], a[m], b[2], b[3]);
                }
            }
#pragma unroll
            for (int chunk = step * 2; chunk < step * 2 + 2; chunk++) {
                statistics.add(load_shared_chunk(current + (own_row ^ chunk << 4)));
            }
        }
        current = after(current);
        next = after(next);
    }

    // `current` holds s and b'; the buffer after it was last read before the last barrier, and `next` until the next one.
    uint32_t moments = after(current);
    uint32_t results = next;
    {
        float offset = statistics.sum / depth;
        float variance = fmaxf(statistics.squares / depth - offset * offset, 0.0f);
        store_shared_pair(moments + threadIdx.x * 8, statistics.pivot + offset, 1.0f / sqrtf(variance + eps));
    }
    copy_wait<0>();
    __syncthreads();

    uint32_t value_sums = current + (warp_column + lane % 4 * 2) * 4;
    uint32_t value_biases = current + 2 * COLUMNS * 4 + (warp_column + lane % 4 * 2) * 2;
    // The warp's place for results: rows of its 32 columns.
    results += warp * WARP_ROWS * WARP_COLUMNS * 2;
#pragma unroll
    for (int n = 0; n < NT; n++) {
        float2 value_sum = load_shared_pair(value_sums + n * 32);
        float2 gate_sum = load_shared_pair(value_sums + n * 32 + COLUMNS * 4);
        float2 value_bias = unpack(load_shared_word(value_biases + n * 16));
        float2 gate_bias = unpack(load_shared_word(value_biases + n * 16 + COLUMNS * 2));
#pragma unroll
        for (int m = 0; m < MT; m++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                int row = m * 16 + h * 8 + lane / 4;
                float2 moment = load_shared_pair(moments + (warp_row + row) * 8);
                float mean = moment.x;
                float rstd = moment.y;
                float v0 = fmaf(fmaf(-mean, value_sum.x, value[m][n][h * 2]), rstd, value_bias.x);
                float v1 = fmaf(fmaf(-mean, value_sum.y, value[m][n][h * 2 + 1]), rstd, value_bias.y);
                float g0 = fmaf(fmaf(-mean, gate_sum.x, gate[m][n][h * 2]), rstd, gate_bias.x);
                float g1 = fmaf(fmaf(-mean, gate_sum.y, gate[m][n][h * 2 + 1]), rstd, gate_bias.y);
                store_shared_word(results + chunk_offset<WARP_COLUMNS>(row, n) + lane % 4 * 4,
                                  pack(v0 * gelu(g0), v1 * gelu(g1)));
            }
        }
    }
    __syncwarp();

#pragma unroll
    for (int pass = 0; pass < WARP_ROWS / 8; pass++) {
        int row = pass * 8 + lane / 4;
        int chunk = lane % 4;
        int place = first_row + warp_row + row;
        int column = first_column + warp_column + chunk * 8;
        if (place < rows && column < columns) {
            store_chunk(y + static_cast<long long>(place) * columns + column,
                        load_shared_chunk(results + chunk_offset<WARP_COLUMNS>(row, chunk)), CHUNK, true);
        }
    }
}
