// Attention of every kind and type, without tensor cores: out = softmax(scale Q K^T) V, optionally causal, optionally plus
// scale' softmax(scale Q K'^T) V' as in eaa_attention.cu. It serves float32, and of the 16-bit types what the other
// kernels do not: heads wider than 160 that are unaligned, causal or have a second source.
//
// Layout   as attention.cu and eaa_attention.cu, any alignment; no second source where other.keys is 0. Head sizes up to
//          the number in the kernel's name.
// Cost     4 B H L (Lk + Lk') D FLOPs in float32, outside of the tensor cores; bound by arithmetic and shared memory,
//          which gives 20 bytes for 16 FLOPs of the first product. About the fifth part of what float32 allows.
// Design   Grid (ceil(L / 16), H, B), 128 threads. Q and, in turn, tiles of 32 rows of K and of V lie in shared memory as
//          float32. A warp has four rows of queries.
//            S = Q K^T: lane j has key j; four values of a row at a time.
//            P goes through shared memory, within the warp.
//            O = P V: lane j has the values j, j + 32, ... of its rows.
//          Rows of tiles are an odd number of 16-byte pieces apart, so that eight lanes of the first product read from
//          eight different groups of banks. Memory is read value by value, 32 neighbours at once.
//          When the first source ends, its O / l waits in registers; then the second begins anew.
#include "operand.cuh"

namespace {
constexpr int THREADS = 128;
constexpr int WARPS = THREADS / 32;
constexpr int ROWS = 16;
constexpr int OWN = ROWS / WARPS;
constexpr int KEYS = 32;

// `rows` rows of a matrix as float32; rows from `available` on and what follows the d values of a row are zeros.
__device__ inline void load_rows(float* target, int stride, const Value* data, int row_stride, int rows, int available,
                                 int d) {
    for (int row = threadIdx.x / 32; row < rows; row += WARPS) {
        const Value* source = data + static_cast<long long>(row) * row_stride;
#pragma unroll 4
        for (int e = threadIdx.x % 32; e < stride; e += 32) {
            target[row * stride + e] = row < available && e < d ? to_float(source[e]) : 0.0f;
        }
    }
}

__device__ inline float warp_max(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    }
    return x;
}

}  // namespace

// Shared memory: Q, a tile of K or V, P; (ROWS + KEYS) rows of `stride` and KEYS ROWS values.
template <int D>
__device__ inline void attend(const Operand& q, const Operand& k, const Operand& v, const Operand& out,
                              const Source& other, int queries, int keys, int d, float scale_log2, bool causal) {
    constexpr int SLICES = D / 32;
    extern __shared__ float4 shared[];
    int stride = (static_cast<unsigned>(d + 3) / 4 | 1) * 4;
    float* shared_q = reinterpret_cast<float*>(shared);
    float* tile = shared_q + ROWS * stride;
    int warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    int head = blockIdx.y;
    int batch = blockIdx.z;
    int first = blockIdx.x * ROWS;
    // The warp's own rows of Q, and its own place for P, four rows of a key side by side.
    const float4* own_q = reinterpret_cast<const float4*>(shared_q + warp * OWN * stride);
    const float4* own_k = reinterpret_cast<const float4*>(tile + lane * stride);
    float4* own_p = reinterpret_cast<float4*>(tile + KEYS * stride) + warp * KEYS;

    load_rows(shared_q, stride, head_of(q, batch, head) + static_cast<long long>(first) * q.row_stride, q.row_stride,
              ROWS, queries - first, d);

    float scale = other.keys > 0 ? scale_of(other, batch) : 0.0f;
    if (keys == IN_OUT && scale == 0.0f) {
        return;
    }
    Value* target = const_cast<Value*>(head_of(out, batch, head)) + static_cast<long long>(first + warp * OWN) * out.row_stride;
    float result[OWN][SLICES] = {};
    if (keys == IN_OUT) {
#pragma unroll
        for (int r = 0; r < OWN; r++) {
#pragma unroll
            for (int s = 0; s < SLICES; s++) {
                if (first + warp * OWN + r < queries && s * 32 + lane < d) {
                    result[r][s] = to_float(target[static_cast<long long>(r) * out.row_stride + s * 32 + lane]);
                }
            }
        }
    }
#pragma unroll 1
    for (int source = keys <= IN_OUT ? 1 : 0; source < (scale != 0.0f ? 2 : 1); source++) {
        int who = source == 0 ? batch : row_of(other, batch);
        int k_stride = source == 0 ? k.row_stride : other.k.row_stride;
        int v_stride = source == 0 ? v.row_stride : other.v.row_stride;
        const Value* k_data = head_of(source == 0 ? k : other.k, who, head);
        const Value* v_data = head_of(source == 0 ? v : other.v, who, head);
        // Keys beyond the block's last row are behind the diagonal for all of its rows.
        int all = source == 0 ? causal ? min(keys, first + ROWS) : keys : other.keys;
        float maximum[OWN];
        float sum[OWN];
        float part[OWN][SLICES] = {};
#pragma unroll
        for (int r = 0; r < OWN; r++) {
            maximum[r] = -INFINITY;
            sum[r] = 0.0f;
        }

#pragma unroll 1
        for (int key = 0; key < all; key += KEYS) {
            __syncthreads();
            load_rows(tile, stride, k_data + static_cast<long long>(key) * k_stride, k_stride, KEYS, all - key, d);
            __syncthreads();
            float score[OWN] = {};
#pragma unroll 2
            for (int e = 0; e < stride / 4; e++) {
                float4 b = own_k[e];
#pragma unroll
                for (int r = 0; r < OWN; r++) {
                    float4 a = own_q[r * (stride / 4) + e];
                    score[r] += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
                }
            }
            float fade[OWN];
#pragma unroll
            for (int r = 0; r < OWN; r++) {
                // The first key of the first tile counts for every row, so the maximum is finite from there on.
                bool counts = key + lane < all && (!causal || key + lane <= first + warp * OWN + r);
                float value = counts ? score[r] : -INFINITY;
                float highest = fmaxf(maximum[r], warp_max(value));
                float shift = highest * scale_log2;
                fade[r] = exp2_fast(maximum[r] * scale_log2 - shift);
                maximum[r] = highest;
                score[r] = exp2_fast(value * scale_log2 - shift);
                sum[r] = sum[r] * fade[r] + score[r];
            }
            own_p[lane] = make_float4(score[0], score[1], score[2], score[3]);
            __syncthreads();
            load_rows(tile, stride, v_data + static_cast<long long>(key) * v_stride, v_stride, KEYS, all - key, d);
            __syncthreads();
#pragma unroll
            for (int r = 0; r < OWN; r++) {
#pragma unroll
                for (int s = 0; s < SLICES; s++) {
                    part[r][s] *= fade[r];
                }
            }
#pragma unroll 1
            for (int j = 0; j < KEYS; j++) {
                float4 p = own_p[j];
                const float* row = tile + j * stride + lane;
#pragma unroll
                for (int s = 0; s < SLICES; s++) {
                    if (s * 32 < d) {
                        float value = s * 32 + lane < d ? row[s * 32] : 0.0f;
                        part[0][s] += p.x * value;
                        part[1][s] += p.y * value;
                        part[2][s] += p.z * value;
                        part[3][s] += p.w * value;
                    }
                }
            }
        }
#pragma unroll
        for (int r = 0; r < OWN; r++) {
            float factor = (source == 0 ? 1.0f : scale) * __frcp_rn(warp_sum(sum[r]));
#pragma unroll
            for (int s = 0; s < SLICES; s++) {
                result[r][s] += part[r][s] * factor;
            }
        }
    }

#pragma unroll
    for (int r = 0; r < OWN; r++) {
#pragma unroll
        for (int s = 0; s < SLICES; s++) {
            if (first + warp * OWN + r < queries && s * 32 + lane < d) {
                target[static_cast<long long>(r) * out.row_stride + s * 32 + lane] = to_value(result[r][s]);
            }
        }
    }
}

// BLOCKS at least on one SM: what the compiler needs to know lest it saves registers for more.
#define ATTENTION(name, D, BLOCKS)                                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                    \
    name(const Operand q, const Operand k, const Operand v, const Operand out, const Source other, int queries,      \
         int keys, int d, float scale_log2, int causal) {                                                            \
        attend<D>(q, k, v, out, other, queries, keys, d, scale_log2, causal != 0);                                   \
    }

#ifdef FLOAT32
// The 16-bit types have faster kernels for these.
ATTENTION(attention_scalar_64, 64, 4)
ATTENTION(attention_scalar_160, 160, 3)
#endif
ATTENTION(attention_scalar_512, 512, 2)
