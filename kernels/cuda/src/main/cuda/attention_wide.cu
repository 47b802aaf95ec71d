// Attention with one wide head, as in the VAE's middle block: out = softmax(scale Q K^T) V, head sizes up to 512.
//
// Layout   as attention.cu; the head size is a multiple of 8, pointers and strides are multiples of 16 bytes.
// Cost     4 B H L Lk D FLOPs, 2 B H (2 L + 2 Lk) D bytes; bound by arithmetic. Each block of 32 rows reads all keys and
//          values: at L = 4096, D = 512 that is 1 GB out of the L2 cache in all, about as long as the products take.
// Design   Grid (ceil(L / 32), H, B), 256 threads. The output of a row is 2 KB of float32, too much for one warp: eight
//          warps share 32 rows, warp w having rows 16 (w mod 2) and the 128 dimensions from 128 (w / 2) on, for which it
//          keeps Q (32 registers) and O (64 registers). Per tile of 32 keys
//            S_w = Q_w K_w^T over its own dimensions -> shared memory; barrier; S = sum of the four parts;
//            softmax as in attention.cuh, the same in all four warps of a row; O_w = O_w a + P V_w
//          so that only parts of S cross between warps: 16 KB written and 64 KB read per tile beside 128 KB of K and V.
//          One buffer each for K and V, loaded in turn: V under the product with K, the next K under that with V.
//          80 KB of shared memory and about 170 registers: one block, eight warps, per SM.
//          The parts of S lie in the order of the lanes' own 16-byte pieces: no bank conflicts there either.
#include "tiles.cuh"

namespace {
constexpr int D = 512;
constexpr int C = D / 8;
constexpr int ROWS = 32;
constexpr int KEYS = 32;
constexpr int WIDE_THREADS = 256;
constexpr int PART = 128;
constexpr int STEPS = PART / 16;
constexpr uint32_t TILE = KEYS * D * 2;

__device__ inline void load_tile(uint32_t shared, const Value* data, int row_stride, int available, int d) {
    // 256 threads are four rows of 64 chunks: each thread keeps its chunk.
    int chunk = threadIdx.x % C;
#pragma unroll
    for (int i = 0; i < KEYS; i += WIDE_THREADS / C) {
        int row = i + threadIdx.x / C;
        copy_async(shared + chunk_offset<D>(row, chunk), data + (row * row_stride + chunk * 8),
                   row < available && chunk * 8 < d);
    }
}
}  // namespace

extern "C" __global__ void __launch_bounds__(WIDE_THREADS)
attention_wide_512(const Operand q, const Operand k, const Operand v, const Operand out, int queries, int keys, int d,
                   float scale_log2) {
    extern __shared__ uint4 shared[];
    uint32_t shared_k = shared_address(shared);
    uint32_t shared_v = shared_k + TILE;
    uint32_t shared_part = shared_v + TILE;

    int warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    int group = warp % 2;
    int part = warp / 2;
    int first = blockIdx.x * ROWS;
    int head = blockIdx.y;
    int batch = blockIdx.z;
    const Value* q_data = head_of(q, batch, head) + static_cast<long long>(first) * q.row_stride;
    const Value* k_data = head_of(k, batch, head);
    const Value* v_data = head_of(v, batch, head);

    // What this warp has to multiply: nothing if its rows or its dimensions do not exist.
    bool rows_exist = group * 16 < queries - first;
    int dimensions = rows_exist ? d - part * PART : 0;

    // Q comes through the place of V.
    load_tile(shared_v, q_data, q.row_stride, queries - first, d);
    load_tile(shared_k, k_data, k.row_stride, keys, d);
    copy_commit();
    copy_wait<0>();
    __syncthreads();
    uint32_t q_part[STEPS][4];
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        load_matrix_x4(q_part[step],
                       shared_v + chunk_offset<D>(group * 16 + (lane & 15), part * (PART / 8) + step * 2 + (lane >> 4)));
    }
    __syncthreads();
    load_tile(shared_v, v_data, v.row_stride, keys, d);
    copy_commit();

    float result[PART / 8][4];
#pragma unroll
    for (int n = 0; n < PART / 8; n++) {
        result[n][0] = result[n][1] = result[n][2] = result[n][3] = 0.0f;
    }
    float maximum[2] = {-INFINITY, -INFINITY};
    float sum[2] = {0.0f, 0.0f};
    // The four parts of a row group's scores are 2 KB apart.
    uint32_t own_part = shared_part + (group * 4 + part) * 2048 + lane * 16;
    uint32_t all_parts = shared_part + group * 4 * 2048 + lane * 16;

    // There is at least one key.
    int key = 0;
    do {
        int available = keys - key;
        float score[KEYS / 8][4];
#pragma unroll
        for (int block = 0; block < KEYS / 16; block++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                score[block * 2][e] = score[block * 2 + 1][e] = 0.0f;
            }
#pragma unroll
            for (int step = 0; step < STEPS; step++) {
                if (block * 16 < available && step * 16 < dimensions) {
                    uint32_t b[4];
                    int row = block * 16 + (lane & 7) + ((lane >> 4) << 3);
                    int chunk = part * (PART / 8) + step * 2 + ((lane >> 3) & 1);
                    load_matrix_x4(b, shared_k + chunk_offset<D>(row, chunk));
                    multiply(score[block * 2], q_part[step], b[0], b[1]);
                    multiply(score[block * 2 + 1], q_part[step], b[2], b[3]);
                }
            }
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
            asm volatile("st.shared.v4.f32 [%0], {%1,%2,%3,%4};" ::"r"(own_part + n * 512), "f"(score[n][0]),
                         "f"(score[n][1]), "f"(score[n][2]), "f"(score[n][3]) : "memory");
        }
        copy_wait<0>();
        __syncthreads();
        if (key + KEYS < keys) {
            load_tile(shared_k, k_data + static_cast<long long>(key + KEYS) * k.row_stride, k.row_stride,
                      available - KEYS, d);
            copy_commit();
        }

#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (int other = 0; other < 4; other++) {
                float4 value;
                asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];"
                             : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
                             : "r"(all_parts + other * 2048 + n * 512) : "memory");
                score[n][0] = other == 0 ? value.x : score[n][0] + value.x;
                score[n][1] = other == 0 ? value.y : score[n][1] + value.y;
                score[n][2] = other == 0 ? value.z : score[n][2] + value.z;
                score[n][3] = other == 0 ? value.w : score[n][3] + value.w;
            }
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (n * 8 + (lane % 4) * 2 + e % 2 >= available) {
                    score[n][e] = -INFINITY;
                }
            }
        }

        uint32_t p[KEYS / 16][4];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float highest = maximum[h];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
                highest = fmaxf(highest, fmaxf(score[n][h * 2], score[n][h * 2 + 1]));
            }
            highest = quad_max(highest);
            float fade = exp2_fast((maximum[h] - highest) * scale_log2);
            maximum[h] = highest;
            float shift = highest * scale_log2;
            sum[h] *= fade;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
                float low = exp2_fast(score[n][h * 2] * scale_log2 - shift);
                float high = exp2_fast(score[n][h * 2 + 1] * scale_log2 - shift);
                sum[h] += low + high;
                p[n / 2][n % 2 * 2 + h] = pack(low, high);
            }
#pragma unroll
            for (int n = 0; n < PART / 8; n++) {
                result[n][h * 2] *= fade;
                result[n][h * 2 + 1] *= fade;
            }
        }

#pragma unroll
        for (int block = 0; block < KEYS / 16; block++) {
#pragma unroll
            for (int n = 0; n < PART / 8; n += 2) {
                if (block * 16 < available && n * 8 < dimensions) {
                    uint32_t b[4];
                    load_matrix_x4_transposed(
                        b, shared_v + chunk_offset<D>(block * 16 + (lane & 15), part * (PART / 8) + n + (lane >> 4)));
                    multiply(result[n], p[block], b[0], b[1]);
                    multiply(result[n + 1], p[block], b[2], b[3]);
                }
            }
        }
        copy_wait<0>();
        __syncthreads();
        if (key + KEYS < keys) {
            load_tile(shared_v, v_data + static_cast<long long>(key + KEYS) * v.row_stride, v.row_stride,
                      available - KEYS, d);
            copy_commit();
        }
        key += KEYS;
    } while (key < keys);

    // Through shared memory, the place of K, into whole 16-byte chunks; each warp its own rows and dimensions.
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float scale = __frcp_rn(quad_sum(sum[h]));
#pragma unroll
        for (int n = 0; n < PART / 8; n++) {
            uint32_t value = pack(result[n][h * 2] * scale, result[n][h * 2 + 1] * scale);
            uint32_t address = shared_k + chunk_offset<D>(group * 16 + h * 8 + lane / 4, part * (PART / 8) + n)
                             + (lane % 4) * 4;
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
        }
    }
    __syncwarp();
    Value* target = const_cast<Value*>(head_of(out, batch, head)) + static_cast<long long>(first) * out.row_stride;
#pragma unroll
    for (int i = 0; i < 16; i += 2) {
        int row = group * 16 + i + lane / 16;
        int chunk = part * (PART / 8) + lane % 16;
        Chunk values = load_shared_chunk(shared_k + chunk_offset<D>(row, chunk));
        if (row < queries - first && chunk * 8 < d) {
            store_chunk(target + static_cast<long long>(row) * out.row_stride + chunk * 8, values, 8, true);
        }
    }
}
