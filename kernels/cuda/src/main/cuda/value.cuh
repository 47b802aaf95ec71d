// The library's type of activations and weights. build-ptx compiles every kernel once for each type and says which with
// -DFLOAT16, -DBFLOAT16 or -DFLOAT32; everything that depends on it is here, and the matrix products in matrix.cuh.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cstdint>

#if defined(FLOAT16)
using Value = __half;
#elif defined(BFLOAT16)
using Value = __nv_bfloat16;
#elif defined(FLOAT32)
using Value = float;
#else
#error "define FLOAT16, BFLOAT16 or FLOAT32"
#endif

// How many values are 16 bytes, the unit in which the fast paths read and write memory: "a chunk".
constexpr int CHUNK = 16 / sizeof(Value);

struct Chunk {
    uint32_t word[4];
};

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

#ifdef FLOAT32

__device__ inline Value to_value(float x) { return x; }

__device__ inline Value get(const Chunk& chunk, int e) { return __uint_as_float(chunk.word[e]); }

// Word p of a chunk of which `count` values are there; the others are zeros.
__device__ inline uint32_t load_word(const Value* source, int p, int count) {
    return p < count ? __float_as_uint(source[p]) : 0;
}

__device__ inline void widen(float (&x)[CHUNK], const Chunk& chunk) {
#pragma unroll
    for (int p = 0; p < 4; p++) {
        x[p] = __uint_as_float(chunk.word[p]);
    }
}

__device__ inline Chunk narrow(const float (&x)[CHUNK]) {
    return {__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]), __float_as_uint(x[3])};
}

#else

// Rounds to nearest even; beyond the largest number infinite, as the formats have it.
__device__ inline Value to_value(float x) {
#ifdef FLOAT16
    return __float2half(x);
#else
    return __float2bfloat16(x);
#endif
}

__device__ inline uint16_t bits_of(__half x) { return __half_as_ushort(x); }
__device__ inline uint16_t bits_of(__nv_bfloat16 x) { return __bfloat16_as_ushort(x); }

// Two values to a word, the first in the low half.
__device__ inline uint32_t pack(float low, float high) {
#ifdef FLOAT16
    __half2 both = __floats2half2_rn(low, high);
#else
    __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
#endif
    return *reinterpret_cast<uint32_t*>(&both);
}

__device__ inline float2 unpack(uint32_t both) {
#ifdef FLOAT16
    return __half22float2(*reinterpret_cast<__half2*>(&both));
#else
    // A bfloat16 is the upper half of a float32.
    return make_float2(__uint_as_float(both << 16), __uint_as_float(both & 0xffff0000u));
#endif
}

__device__ inline Value get(const Chunk& chunk, int e) {
    uint16_t bits = chunk.word[e / 2] >> (e % 2 * 16);
#ifdef FLOAT16
    return __ushort_as_half(bits);
#else
    return __ushort_as_bfloat16(bits);
#endif
}

// Word p of a chunk of which `count` values are there; the others are zeros.
__device__ inline uint32_t load_word(const Value* source, int p, int count) {
    uint32_t low = p * 2 < count ? bits_of(source[p * 2]) : 0;
    uint32_t high = p * 2 + 1 < count ? bits_of(source[p * 2 + 1]) : 0;
    return low | high << 16;
}

__device__ inline void widen(float (&x)[CHUNK], const Chunk& chunk) {
#pragma unroll
    for (int p = 0; p < 4; p++) {
        float2 both = unpack(chunk.word[p]);
        x[p * 2] = both.x;
        x[p * 2 + 1] = both.y;
    }
}

__device__ inline Chunk narrow(const float (&x)[CHUNK]) {
    return {pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])};
}

#endif
