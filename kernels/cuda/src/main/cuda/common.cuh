// What every kernel shares: vector types, the asynchronous copy, matrix fragments, warp reductions.
//
// Everything here exists on compute capability 8.0 and is the same instruction on every later chip.
#pragma once

#include <cuda_fp16.h>
#include <cstdint>

// Eight float16 values, two to a word: the 16-byte unit in which the fast paths read and write memory ("a chunk").
struct Chunk {
    uint32_t word[4];

    __device__ inline __half get(int e) const { return __ushort_as_half(word[e / 2] >> (e % 2 * 16)); }
};

__device__ inline uint32_t pack(__half low, __half high) {
    return __half_as_ushort(low) | static_cast<uint32_t>(__half_as_ushort(high)) << 16;
}

__device__ inline uint32_t pack(float low, float high) {
    __half2 both = __floats2half2_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&both);
}

__device__ inline float2 unpack(uint32_t both) { return __half22float2(*reinterpret_cast<__half2*>(&both)); }

// True for null, so that absent operands do not count.
__device__ inline bool aligned16(const void* pointer) {
    return (reinterpret_cast<uintptr_t>(pointer) & 15) == 0;
}

// Chunks of a row of that many values, the last one perhaps incomplete.
__device__ inline unsigned chunks_of(int channels) { return (static_cast<unsigned>(channels) + 7) / 8; }

// Reads `count` of the eight values from `source` on and sets the others to zero; in one access if `vectors`, which
// promises an aligned address and eight values.
__device__ inline Chunk load_chunk(const __half* source, int count, bool vectors) {
    if (vectors) {
        uint4 all = *reinterpret_cast<const uint4*>(source);
        return {all.x, all.y, all.z, all.w};
    }
    Chunk chunk;
    const __half zero = __float2half(0.0f);
#pragma unroll
    for (int p = 0; p < 4; p++) {
        chunk.word[p] = pack(p * 2 < count ? source[p * 2] : zero, p * 2 + 1 < count ? source[p * 2 + 1] : zero);
    }
    return chunk;
}

__device__ inline void store_chunk(__half* target, const Chunk& chunk, int count, bool vectors) {
    if (vectors) {
        // Spelled out: where both ways are open, the compiler has been seen to merge them into four 4-byte stores.
        asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" ::"l"(__cvta_generic_to_global(target)),
                     "r"(chunk.word[0]), "r"(chunk.word[1]), "r"(chunk.word[2]), "r"(chunk.word[3]) : "memory");
    } else {
#pragma unroll
        for (int e = 0; e < 8; e++) {
            if (e < count) {
                target[e] = chunk.get(e);
            }
        }
    }
}

__device__ inline void widen(float (&x)[8], const Chunk& chunk) {
#pragma unroll
    for (int p = 0; p < 4; p++) {
        float2 both = unpack(chunk.word[p]);
        x[p * 2] = both.x;
        x[p * 2 + 1] = both.y;
    }
}

__device__ inline Chunk narrow(const float (&x)[8]) {
    return {pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])};
}

// The same 16 bytes in shared memory.
__device__ inline Chunk load_shared_chunk(uint32_t address) {
    Chunk c;
    asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(c.word[0]), "=r"(c.word[1]), "=r"(c.word[2]), "=r"(c.word[3]) : "r"(address) : "memory");
    return c;
}

__device__ inline void store_shared_chunk(uint32_t address, const Chunk& c) {
    asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(c.word[0]), "r"(c.word[1]),
                 "r"(c.word[2]), "r"(c.word[3]) : "memory");
}

// ---- asynchronous copies from global to shared memory -------------------------------------------------------------

__device__ inline uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes past the L1 cache; with `valid` false nothing is read and zeros are written.
__device__ inline void copy_async(uint32_t shared, const void* global, bool valid) {
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}

__device__ inline void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `pending` of this thread's committed groups are still under way.
template <int pending>
__device__ inline void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// ---- matrix fragments ---------------------------------------------------------------------------------------------
//
// ldmatrix loads 8x8 blocks of float16; lane l gives the address of one 16-byte row. In the m16n8k16 product, with
// g = lane / 4 and t = lane % 4:
//   A (16x16): a[0] = (g, 2t..2t+1), a[1] = (g+8, 2t..), a[2] = (g, 2t+8..), a[3] = (g+8, 2t+8..)
//   B (16x8):  b[0] = (2t..2t+1, g), b[1] = (2t+8.., g)
//   C (16x8):  c[0], c[1] = (g, 2t), (g, 2t+1); c[2], c[3] = (g+8, 2t), (g+8, 2t+1)

__device__ inline void load_matrix_x4(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

__device__ inline void load_matrix_x2(uint32_t (&r)[2], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}

__device__ inline void load_matrix_x4_transposed(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

__device__ inline void load_matrix_x2_transposed(uint32_t (&r)[2], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}

// c += a b, 16x8 += 16x16 * 16x8, float16 products summed in float32.
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The half step: c += a b, 16x8 += 16x8 * 8x8, for head sizes that are 8 more than a multiple of 16.
__device__ inline void multiply_half(float (&c)[4], const uint32_t (&a)[4], uint32_t b0) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b0));
}

// ---- float32 arithmetic -------------------------------------------------------------------------------------------

// 2^x with a relative error of 2^-22; 0 for -infinity.
__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

constexpr float LOG2_E = 1.4426950408889634f;

// 1 / (1 + exp(-x)): the divisor is infinite for very negative x, and the quotient then 0 as it should be.
__device__ inline float sigmoid(float x) { return __frcp_rn(1.0f + exp2_fast(-x * LOG2_E)); }

__device__ inline float silu(float x) { return x * sigmoid(x); }

// x Phi(x) with the exact error function: what SD 1.x was trained with, unlike the tanh approximation.
__device__ inline float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }

// Over the four lanes that hold one row of a C fragment.
__device__ inline float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ inline float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

__device__ inline float warp_sum(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, offset);
    }
    return x;
}
