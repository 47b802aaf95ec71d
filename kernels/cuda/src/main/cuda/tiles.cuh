// Tiles of keys, values and queries in shared memory, for the products of 16-bit values.
//
// A row of a tile is C = D / 8 chunks of 16 bytes, without padding. Chunk c of row r lies at place c ^ x(r) of its row,
// x(r) = (r / (8 / g)) mod g, g = the power of two in C, at most 8. Eight consecutive rows of the same chunk, which is
// what one phase of ldmatrix reads, then lie in eight different groups of four banks; and since only places inside
// aligned groups of g chunks change, the eight consecutive chunks which one phase of a linear copy writes also do. So
// there are no bank conflicts.
#pragma once

#include "matrix.cuh"
#include "operand.cuh"

template <int D>
__device__ constexpr int swizzle_groups() {
    return D / 8 % 8 == 0 ? 8 : D / 8 % 4 == 0 ? 4 : D / 8 % 2 == 0 ? 2 : 1;
}

// What the place of a chunk is xored with; it has period 8 in the row.
template <int D>
__device__ inline int swizzle(int row) {
    constexpr int g = swizzle_groups<D>();
    return (row / (8 / g)) & (g - 1);
}

// Byte offset of a chunk in a tile.
template <int D>
__device__ inline uint32_t chunk_offset(int row, int chunk) {
    return (row * (D / 8) + (chunk ^ swizzle<D>(row))) * 16;
}
