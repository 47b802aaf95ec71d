// The body of attention.cu, eaa_attention.cu, attention_any.cu and eaa_attention_any.cu: softmax attention over one or two sources of keys and values.
//
// Work of a block: WARPS warps, each MT tiles of 16 query rows of one (batch row, head); 16 WARPS MT query rows together.
// It walks over the keys in tiles of KEYS rows. K and V tiles arrive by cp.async into two buffers: while one is
// multiplied, the next is under way. One barrier per tile: after it the next tile is visible to all and the buffer just
// used is free.
//
//   S = Q K^T           mma m16n8k16 (a half step m16n8k8 for head size 40), Q fragments stay in registers
//   m' = max(m, max S)  per query row, over the quad of lanes that holds it
//   P = 2^((S - m') scale log2 e),  l = l a + sum P,  O = O a + P V,  a = 2^((m - m') scale log2 e)
//   out = O / l
//
// P goes from accumulator to operand layout inside a thread's own registers (C of one product is A of the next), so the
// score matrix never leaves the registers.
//
// Shared memory is laid out as in tiles.cuh, free of bank conflicts.
//
// Two sources: the tiles of the second follow those of the first in the same pipeline. When the first source ends, its
// O / l waits as 16-bit values in the shared memory that held Q (each thread keeps its own values there), m, l and O start
// anew, and at the end scale O' / l' is added to it. The registers needed are those of one source.
// IN_OUT keys of the first source: its result is what `out` holds. It is read into that place, and rows whose scale is 0 stay
// as they are. NO_FIRST_SOURCE: zeros come to that place.
//
// The masked form of the tile step (last tile of a source, tiles that cross the diagonal, blocks with rows beyond the
// last query) leaves out every 16x16 block of scores in which no entry counts, so that the number of mma is that of the
// padded minimum; the plain form has no tests in it.
#pragma once

#include "tiles.cuh"

// ROWS rows of a matrix into shared memory; rows from `available` on are zeros and are not read.
// PADDED: the true head size is d <= D, the rest is zeros; addresses that are no multiples of 16 bytes go one by one.
template <int D, int WARPS, int ROWS, bool PADDED>
__device__ inline void load_tile(uint32_t shared, const Value* data, int row_stride, int available, int d) {
    constexpr int C = D / 8;
    constexpr int THREADS = 32 * WARPS;
    bool vectors = !PADDED || (d % 8 == 0 && row_stride % 8 == 0 && aligned16(data));
    constexpr int PASSES = (ROWS * C + THREADS - 1) / THREADS;
    // Unrolled where speed counts: the places are then computed once and not per tile. More than 5 cost too many registers.
#pragma unroll (PADDED ? 1 : PASSES < 5 ? PASSES : 5)
    for (int pass = 0; pass < PASSES; pass++) {
        unsigned i = pass * THREADS + threadIdx.x;
        if (ROWS * C % THREADS != 0 && pass == PASSES - 1 && i >= ROWS * C) {
            break;
        }
        int row = i / C;
        int chunk = i % C;
        bool valid = row < available;
        const Value* source = data + (row * row_stride + chunk * 8);
        uint32_t target = shared + chunk_offset<D>(row, chunk);
        if (!PADDED) {
            copy_async(target, source, valid);
        } else if (vectors) {
            copy_async(target, source, valid && chunk * 8 < d);
        } else {
            store_shared_chunk(target, load_chunk(source, valid ? d - chunk * 8 : 0, false));
        }
    }
}

// One warp's state: query fragments, running maximum and sum of its rows, unnormalised output.
template <int D, int MT>
struct State {
    static constexpr int STEPS = (D + 15) / 16;
    static constexpr int OUT = D / 8;
    uint32_t q[MT][STEPS][4];
    float out[MT][OUT][4];
    float maximum[MT][2];
    float sum[MT][2];

    __device__ inline void clear() {
#pragma unroll
        for (int m = 0; m < MT; m++) {
            maximum[m][0] = maximum[m][1] = -INFINITY;
            sum[m][0] = sum[m][1] = 0.0f;
#pragma unroll
            for (int n = 0; n < OUT; n++) {
                out[m][n][0] = out[m][n][1] = out[m][n][2] = out[m][n][3] = 0.0f;
            }
        }
    }
};

// Which scores of a tile count: those of `queries` rows with the first `keys` keys of the tile and, if causal, only keys
// up to the row's own number. `row` is the warp's first row, counted from the tile's first key if causal.
struct Mask {
    int row;
    int rows;
    int keys;
    bool causal;

    // Whether any entry counts of the 16 keys from `key` on with the 16 rows of tile m.
    __device__ inline bool any(int m, int key) const {
        return m * 16 < rows && key < keys && (!causal || key <= row + m * 16 + 15);
    }

    __device__ inline bool counts(int query, int key) const {
        return key < keys && (!causal || key <= row + query);
    }
};

// Adds one tile of KEYS keys and values to the state.
template <int D, int MT, int KEYS, bool MASKED>
__device__ inline void step(State<D, MT>& state, uint32_t keys, uint32_t values, float scale_log2, const Mask& mask) {
    constexpr int C = D / 8;
    constexpr int BLOCKS = KEYS / 16;
    constexpr bool HALF = D % 16 == 8;
    constexpr int WHOLE = D / 16;
    unsigned lane = threadIdx.x % 32;

    float score[MT][BLOCKS * 2][4];
    {
        // Lanes 0-7 and 8-15 address the two chunks of keys 0-7, lanes 16-31 those of keys 8-15.
        int row = (lane & 7) + ((lane >> 4) << 3);
        int side = (lane >> 3) & 1;
        int x = swizzle<D>(row);
        uint32_t base = keys + row * C * 16;
        // The half step has one chunk: lanes 0-15 address it for keys 0-15.
        uint32_t half_base = keys + chunk_offset<D>(lane & 15, D / 8 - 1);
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
#pragma unroll
            for (int m = 0; m < MT; m++) {
                // Where nothing is computed the scores stay at minus infinity, whose power is 0.
                float start = MASKED && !mask.any(m, block * 16) ? -INFINITY : 0.0f;
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    score[m][block * 2][e] = score[m][block * 2 + 1][e] = start;
                }
            }
            if (!MASKED || mask.any(MT - 1, block * 16) || mask.any(0, block * 16)) {
#pragma unroll
                for (int k = 0; k < WHOLE; k++) {
                    uint32_t b[4];
                    load_matrix_x4(b, base + block * 16 * C * 16 + (((k * 2 + side) ^ x) << 4));
#pragma unroll
                    for (int m = 0; m < MT; m++) {
                        if (!MASKED || mask.any(m, block * 16)) {
                            multiply(score[m][block * 2], state.q[m][k], b[0], b[1]);
                            multiply(score[m][block * 2 + 1], state.q[m][k], b[2], b[3]);
                        }
                    }
                }
                if (HALF) {
                    uint32_t b[2];
                    load_matrix_x2(b, half_base + block * 16 * C * 16);
#pragma unroll
                    for (int m = 0; m < MT; m++) {
                        if (!MASKED || mask.any(m, block * 16)) {
                            multiply_half(score[m][block * 2], state.q[m][WHOLE], b[0]);
                            multiply_half(score[m][block * 2 + 1], state.q[m][WHOLE], b[1]);
                        }
                    }
                }
            }
        }
    }

    if (MASKED) {
#pragma unroll
        for (int m = 0; m < MT; m++) {
#pragma unroll
            for (int n = 0; n < BLOCKS * 2; n++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    int query = m * 16 + lane / 4 + (e / 2) * 8;
                    int key = n * 8 + (lane % 4) * 2 + e % 2;
                    if (!mask.counts(query, key)) {
                        score[m][n][e] = -INFINITY;
                    }
                }
            }
        }
    }

#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float highest = state.maximum[m][h];
#pragma unroll
            for (int n = 0; n < BLOCKS * 2; n++) {
                highest = fmaxf(highest, fmaxf(score[m][n][h * 2], score[m][n][h * 2 + 1]));
            }
            highest = quad_max(highest);
            // Every row has at least one key in its first tile, so `highest` is finite from there on; only rows beyond
            // the last query never get one, and theirs is taken as 0 to keep infinity minus infinity out.
            float shift = (MASKED && highest == -INFINITY ? 0.0f : highest) * scale_log2;
            float fade = exp2_fast(state.maximum[m][h] * scale_log2 - shift);
            state.maximum[m][h] = highest;
            float sum = 0.0f;
#pragma unroll
            for (int n = 0; n < BLOCKS * 2; n++) {
                score[m][n][h * 2] = exp2_fast(score[m][n][h * 2] * scale_log2 - shift);
                score[m][n][h * 2 + 1] = exp2_fast(score[m][n][h * 2 + 1] * scale_log2 - shift);
                sum += score[m][n][h * 2] + score[m][n][h * 2 + 1];
            }
            state.sum[m][h] = state.sum[m][h] * fade + sum;
#pragma unroll
            for (int n = 0; n < C; n++) {
                state.out[m][n][h * 2] *= fade;
                state.out[m][n][h * 2 + 1] *= fade;
            }
        }
    }

    {
        // Lanes 0-15 address one chunk of keys 0-15, lanes 16-31 the next chunk of the same keys.
        int row = lane & 15;
        int side = lane >> 4;
        int x = swizzle<D>(row);
        uint32_t base = values + row * C * 16;
        uint32_t last = values + chunk_offset<D>(row, C - 1);
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            if (!MASKED || mask.any(MT - 1, block * 16) || mask.any(0, block * 16)) {
                uint32_t p[MT][4];
#pragma unroll
                for (int m = 0; m < MT; m++) {
                    p[m][0] = pack(score[m][block * 2][0], score[m][block * 2][1]);
                    p[m][1] = pack(score[m][block * 2][2], score[m][block * 2][3]);
                    p[m][2] = pack(score[m][block * 2 + 1][0], score[m][block * 2 + 1][1]);
                    p[m][3] = pack(score[m][block * 2 + 1][2], score[m][block * 2 + 1][3]);
                }
#pragma unroll
                for (int n = 0; n + 1 < C; n += 2) {
                    uint32_t b[4];
                    load_matrix_x4_transposed(b, base + block * 16 * C * 16 + (((n + side) ^ x) << 4));
#pragma unroll
                    for (int m = 0; m < MT; m++) {
                        if (!MASKED || mask.any(m, block * 16)) {
                            multiply(state.out[m][n], p[m], b[0], b[1]);
                            multiply(state.out[m][n + 1], p[m], b[2], b[3]);
                        }
                    }
                }
                if (C % 2 == 1) {
                    uint32_t b[2];
                    load_matrix_x2_transposed(b, last + block * 16 * C * 16);
#pragma unroll
                    for (int m = 0; m < MT; m++) {
                        if (!MASKED || mask.any(m, block * 16)) {
                            multiply(state.out[m][C - 1], p[m], b[0], b[1]);
                        }
                    }
                }
            }
        }
    }
}

// Replaces the unnormalised output by factor * O / l.
template <int D, int MT>
__device__ inline void normalise(State<D, MT>& state, float factor) {
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float scale = factor * __frcp_rn(quad_sum(state.sum[m][h]));
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                state.out[m][n][h * 2] *= scale;
                state.out[m][n][h * 2 + 1] *= scale;
            }
        }
    }
}

// Zeros in the rows of a block.
template <int D, int WARPS, int ROWS, bool PADDED>
__device__ inline void clear_rows(const Operand& out, int batch, int head, int first, int rows, int d) {
    constexpr int C = D / 8;
    Value* target = const_cast<Value*>(head_of(out, batch, head)) + static_cast<long long>(first) * out.row_stride;
    bool vectors = !PADDED || (d % 8 == 0 && out.row_stride % 8 == 0 && aligned16(target));
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < ROWS * C; i += 32 * WARPS) {
        int row = i / C;
        int chunk = i % C;
        if (row < rows && (!PADDED || chunk * 8 < d)) {
            store_chunk(target + static_cast<long long>(row) * out.row_stride + chunk * 8, Chunk{}, d - chunk * 8, vectors);
        }
    }
}

// Shared memory of a block: Q, then two buffers of K, then two of V; (16 WARPS MT + 4 KEYS) 2 D bytes in all.
template <int D, int WARPS, int MT, int KEYS, bool PADDED, bool TWO_SOURCES>
__device__ inline void attend(const Operand& q, const Operand& k, const Operand& v, const Operand& out,
                              const Source* other, int queries, int keys, int d, float scale_log2, bool causal) {
    constexpr int C = D / 8;
    constexpr int ROWS = 16 * WARPS * MT;
    constexpr uint32_t TILE = KEYS * D * 2;
    extern __shared__ uint4 shared[];

    // Unsigned, as dividing it is simpler.
    unsigned warp = threadIdx.x / 32;
    unsigned lane = threadIdx.x % 32;
    int first = blockIdx.x * ROWS;
    int head = blockIdx.y;
    int batch = blockIdx.z;

    uint32_t shared_q = shared_address(shared);
    uint32_t shared_k = shared_q + ROWS * D * 2;
    uint32_t shared_v = shared_k + 2 * TILE;

    const Value* q_data = head_of(q, batch, head) + static_cast<long long>(first) * q.row_stride;
    const Value* k_data = head_of(k, batch, head);
    const Value* v_data = head_of(v, batch, head);

    // Keys beyond the block's last row are behind the diagonal for all of its rows.
    int visible = causal ? min(keys, first + ROWS) : keys;
    int tiles = static_cast<unsigned>(visible + KEYS - 1) / KEYS;
    int all_tiles = tiles;
    bool alone = TWO_SOURCES && keys <= IN_OUT;
    float scale = 0.0f;
    const Value* other_k = nullptr;
    const Value* other_v = nullptr;
    if (TWO_SOURCES) {
        scale = scale_of(*other, batch);
        if (alone && scale == 0.0f) {
            if (keys == NO_FIRST_SOURCE) {
                clear_rows<D, WARPS, ROWS, PADDED>(out, batch, head, first, queries - first, d);
            }
            return;
        }
        if (scale != 0.0f) {
            int row = row_of(*other, batch);
            other_k = head_of(other->k, row, head);
            other_v = head_of(other->v, row, head);
            all_tiles += static_cast<unsigned>(other->keys + KEYS - 1) / KEYS;
        }
    }

    auto load_keys = [&](int tile) {
        bool second = TWO_SOURCES && tile >= tiles;
        int key = (second ? tile - tiles : tile) * KEYS;
        int k_stride = second ? other->k.row_stride : k.row_stride;
        int v_stride = second ? other->v.row_stride : v.row_stride;
        const Value* tile_k = (second ? other_k : k_data) + static_cast<long long>(key) * k_stride;
        const Value* tile_v = (second ? other_v : v_data) + static_cast<long long>(key) * v_stride;
        int available = (second ? other->keys : keys) - key;
        load_tile<D, WARPS, KEYS, PADDED>(shared_k + (tile & 1) * TILE, tile_k, k_stride, available, d);
        load_tile<D, WARPS, KEYS, PADDED>(shared_v + (tile & 1) * TILE, tile_v, v_stride, available, d);
        copy_commit();
    };
    load_tile<D, WARPS, ROWS, PADDED>(shared_q, q_data, q.row_stride, queries - first, d);
    load_keys(0);
    copy_wait<0>();
    __syncthreads();

    State<D, MT> state;
    state.clear();
    int warp_row = warp * 16 * MT;
    {
        int row = warp_row + (lane & 15);
        int side = lane >> 4;
#pragma unroll
        for (int m = 0; m < MT; m++) {
#pragma unroll
            for (int step = 0; step < D / 16; step++) {
                load_matrix_x4(state.q[m][step], shared_q + chunk_offset<D>(row + m * 16, step * 2 + side));
            }
            if (D % 16 == 8) {
                uint32_t half[2];
                load_matrix_x2(half, shared_q + chunk_offset<D>(row + m * 16, C - 1));
                state.q[m][D / 16][0] = half[0];
                state.q[m][D / 16][1] = half[1];
            }
        }
    }
    // The warp's own rows of Q become its place for results.
    if (alone) {
        __syncthreads();
        load_tile<D, WARPS, ROWS, PADDED>(shared_q, head_of(out, batch, head) + static_cast<long long>(first) * out.row_stride,
                                          out.row_stride, keys == NO_FIRST_SOURCE ? 0 : queries - first, d);
        copy_commit();
    } else {
        __syncwarp();
    }
    auto place = [&](int m, int h, int n) {
        return shared_q + chunk_offset<D>(warp_row + m * 16 + h * 8 + lane / 4, n) + (lane % 4) * 4;
    };

    int rows = min(max(queries - first - warp_row, 0), 16 * MT);
    bool full_rows = queries - first >= ROWS;

    // There is at least one key.
    int tile = 0;
    do {
        int buffer = tile & 1;
        int next = tile + 1;
        if (next < all_tiles) {
            load_keys(next);
        }

        if (TWO_SOURCES && tile == tiles && !alone) {
            normalise(state, 1.0f);
#pragma unroll
            for (int m = 0; m < MT; m++) {
#pragma unroll
                for (int n = 0; n < C; n++) {
#pragma unroll
                    for (int h = 0; h < 2; h++) {
                        uint32_t value = pack(state.out[m][n][h * 2], state.out[m][n][h * 2 + 1]);
                        asm volatile("st.shared.b32 [%0], %1;" ::"r"(place(m, h, n)), "r"(value) : "memory");
                    }
                }
            }
            state.clear();
        }

        bool second = TWO_SOURCES && tile >= tiles;
        int first_key = (second ? tile - tiles : tile) * KEYS;
        Mask mask{first + warp_row - first_key, rows, (second ? other->keys : keys) - first_key, causal && !second};
        bool below_diagonal = !mask.causal || first_key + KEYS - 1 <= first;
        uint32_t tile_k = shared_k + buffer * TILE;
        uint32_t tile_v = shared_v + buffer * TILE;
        if (full_rows && mask.keys >= KEYS && below_diagonal) {
            step<D, MT, KEYS, false>(state, tile_k, tile_v, scale_log2, mask);
        } else {
            step<D, MT, KEYS, true>(state, tile_k, tile_v, scale_log2, mask);
        }

        copy_wait<0>();
        __syncthreads();
        tile = next;
    } while (tile < all_tiles);

    bool added = TWO_SOURCES && scale != 0.0f;
    normalise(state, added ? scale : 1.0f);
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < C; n++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float2 value = make_float2(state.out[m][n][h * 2], state.out[m][n][h * 2 + 1]);
                uint32_t address = place(m, h, n);
                if (added) {
                    uint32_t kept;
                    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(kept) : "r"(address) : "memory");
                    float2 base = unpack(kept);
                    value.x += base.x;
                    value.y += base.y;
                }
                asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(pack(value.x, value.y)) : "memory");
            }
        }
    }
    __syncwarp();

    Value* target = const_cast<Value*>(head_of(out, batch, head));
    bool vectors = !PADDED || (d % 8 == 0 && out.row_stride % 8 == 0 && aligned16(target));
    // Of 32 chunks each; what an odd number of chunks leaves over of the last pass is beyond the warp's rows.
#pragma unroll (PADDED ? 1 : 4)
    for (int pass = 0; pass < (MT * C + 1) / 2; pass++) {
        unsigned i = pass * 32 + lane;
        int row = i / C;
        int chunk = i % C;
        if (row >= rows || (PADDED && chunk * 8 >= d)) {
            continue;
        }
        Chunk values = load_shared_chunk(shared_q + chunk_offset<D>(warp_row + row, chunk));
        Value* line = target + static_cast<long long>(first + warp_row + row) * out.row_stride + chunk * 8;
        store_chunk(line, values, d - chunk * 8, vectors);
    }
}

// The kernels; BLOCKS of them at a time on a multiprocessor are what registers are shared out for.
#define ATTENTION(name, D, WARPS, MT, KEYS, BLOCKS, PADDED)                                                            \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS)                                                   \
    name(const Operand q, const Operand k, const Operand v, const Operand out, int queries, int keys, int d,           \
         float scale_log2, int causal) {                                                                               \
        attend<D, WARPS, MT, KEYS, PADDED, false>(q, k, v, out, nullptr, queries, keys, d, scale_log2, causal != 0);   \
    }

#define EAA_ATTENTION(name, D, WARPS, MT, KEYS, BLOCKS, PADDED)                                                        \
    extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS)                                                   \
    name(const Operand q, const Operand k, const Operand v, const Operand out, const Source other, int queries,        \
         int keys, int d, float scale_log2) {                                                                          \
        attend<D, WARPS, MT, KEYS, PADDED, true>(q, k, v, out, &other, queries, keys, d, scale_log2, false);           \
    }
