// WIDTH neighbouring values, 2 to 16 bytes, read and written in one access; WIDTH is 1, 2, 4 or CHUNK.
#pragma once

#include "common.cuh"

template <int WIDTH>
struct Piece {
    static constexpr int BYTES = WIDTH * sizeof(Value);
    static constexpr int WORDS = (BYTES + 3) / 4;
    // The values in their order; 2 bytes lie in the low half of a word.
    uint32_t word[WORDS];
};

template <int WIDTH>
__device__ inline Piece<WIDTH> load_piece(const Value* source) {
    constexpr int bytes = Piece<WIDTH>::BYTES;
    if constexpr (bytes == 16) {
        uint4 all = *reinterpret_cast<const uint4*>(source);
        return {all.x, all.y, all.z, all.w};
    } else if constexpr (bytes == 8) {
        uint2 all = *reinterpret_cast<const uint2*>(source);
        return {all.x, all.y};
    } else if constexpr (bytes == 4) {
        return {*reinterpret_cast<const uint32_t*>(source)};
    } else {
        return {*reinterpret_cast<const uint16_t*>(source)};
    }
}

template <int WIDTH>
__device__ inline void store_piece(Value* target, const Piece<WIDTH>& piece) {
    constexpr int bytes = Piece<WIDTH>::BYTES;
    if constexpr (bytes == 16) {
        *reinterpret_cast<uint4*>(target) = make_uint4(piece.word[0], piece.word[1], piece.word[2], piece.word[3]);
    } else if constexpr (bytes == 8) {
        *reinterpret_cast<uint2*>(target) = make_uint2(piece.word[0], piece.word[1]);
    } else if constexpr (bytes == 4) {
        *reinterpret_cast<uint32_t*>(target) = piece.word[0];
    } else {
        *reinterpret_cast<uint16_t*>(target) = static_cast<uint16_t>(piece.word[0]);
    }
}

template <int WIDTH>
__device__ inline void widen(float (&x)[WIDTH], const Piece<WIDTH>& piece) {
#ifdef FLOAT32
#pragma unroll
    for (int e = 0; e < WIDTH; e++) {
        x[e] = __uint_as_float(piece.word[e]);
    }
#else
#pragma unroll
    for (int p = 0; p < Piece<WIDTH>::WORDS; p++) {
        float2 both = unpack(piece.word[p]);
        x[p * 2] = both.x;
        if constexpr (WIDTH > 1) {
            x[p * 2 + 1] = both.y;
        }
    }
#endif
}

template <int WIDTH>
__device__ inline Piece<WIDTH> narrow_piece(const float (&x)[WIDTH]) {
    Piece<WIDTH> piece;
#pragma unroll
    for (int p = 0; p < Piece<WIDTH>::WORDS; p++) {
#ifdef FLOAT32
        piece.word[p] = __float_as_uint(x[p]);
#else
        piece.word[p] = pack(x[p * 2], WIDTH > 1 ? x[(p * 2 + 1) % WIDTH] : 0.0f);
#endif
    }
    return piece;
}
