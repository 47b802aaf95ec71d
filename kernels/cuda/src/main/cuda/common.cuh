// What every kernel shares: vector accesses, asynchronous copies, activations, warp reductions.
//
// Everything here exists on compute capability 8.0 and is the same instruction on every later chip.
#pragma once

#include "value.cuh"

// True for null, so that absent operands do not count.
__device__ inline bool aligned16(const void* pointer) {
    return (reinterpret_cast<uintptr_t>(pointer) & 15) == 0;
}

// Chunks of a row of that many values, the last one perhaps incomplete.
__device__ inline unsigned chunks_of(int channels) { return (static_cast<unsigned>(channels) + CHUNK - 1) / CHUNK; }

// Reads `count` of a chunk of values from `source` on and sets the others to zero; in one access if `vectors`, which
// promises an aligned address and a whole chunk.
__device__ inline Chunk load_chunk(const Value* source, int count, bool vectors) {
    if (vectors) {
        uint4 all = *reinterpret_cast<const uint4*>(source);
        return {all.x, all.y, all.z, all.w};
    }
    return {load_word(source, 0, count), load_word(source, 1, count), load_word(source, 2, count),
            load_word(source, 3, count)};
}

__device__ inline void store_chunk(Value* target, const Chunk& chunk, int count, bool vectors) {
    if (vectors) {
        // Spelled out: where both ways are open, the compiler has been seen to merge them into four 4-byte stores.
        asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" ::"l"(__cvta_generic_to_global(target)),
                     "r"(chunk.word[0]), "r"(chunk.word[1]), "r"(chunk.word[2]), "r"(chunk.word[3]) : "memory");
    } else {
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            if (e < count) {
                target[e] = get(chunk, e);
            }
        }
    }
}

__device__ inline uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// A chunk in shared memory.
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

// ---- float32 arithmetic -------------------------------------------------------------------------------------------

// 2^x with a relative error of 2^-22; 0 for -infinity.
__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

constexpr float LOG2_E = 1.4426950408889634f;

// 1 / x with a relative error of 2^-23; 0 where that is subnormal.
__device__ inline float reciprocal_fast(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// 1 / (1 + exp(-x)): the divisor is infinite for very negative x, and the quotient then 0 as it should be.
__device__ inline float sigmoid(float x) { return reciprocal_fast(1.0f + exp2_fast(-x * LOG2_E)); }

// Activations, to be given to a kernel's template.
struct None {
    __device__ inline float operator()(float x) const { return x; }
};

struct Silu {
    __device__ inline float operator()(float x) const { return x * sigmoid(x); }
};

struct QuickGelu {
    __device__ inline float operator()(float x) const { return x * sigmoid(1.702f * x); }
};

// x Phi(x) with the exact error function: what SD 1.x was trained with, unlike the tanh approximation.
struct Gelu {
    __device__ inline float operator()(float x) const { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }
};

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
