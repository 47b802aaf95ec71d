// Token and position embedding: y[b, l, c] = table[id[b, l], c] + position[l, c].
//
// Layout   id [B, L] int32, table [V, C], position [at least L, C], y [B, L, C] float16.
// Cost     6 B L C bytes (each row reads one row of both tables); bound by latency at this size.
// Design   One thread per chunk of 8 channels. An id outside the table makes the row NaN, which cannot go unnoticed,
//          rather than reading where nothing belongs to us. C no multiple of 8, or unaligned addresses: value by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
token_embedding(const int* __restrict__ id, const __half* __restrict__ table, const __half* __restrict__ position,
                __half* __restrict__ y, int rows, int length, int channels, int vocabulary) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int row = i / chunks;
    int c = i % chunks * 8;
    if (row >= rows) {
        return;
    }
    int count = channels - c;
    bool vectors = channels % 8 == 0 && aligned16(table) && aligned16(position) && aligned16(y);
    int token = id[row];
    float sum[8];
    if (token >= 0 && token < vocabulary) {
        float values[8];
        widen(sum, load_chunk(table + static_cast<long long>(token) * channels + c, count, vectors));
        widen(values, load_chunk(position + static_cast<long long>(row % length) * channels + c, count, vectors));
#pragma unroll
        for (int e = 0; e < 8; e++) {
            sum[e] += values[e];
        }
    } else {
#pragma unroll
        for (int e = 0; e < 8; e++) {
            sum[e] = NAN;
        }
    }
    store_chunk(y + static_cast<long long>(row) * channels + c, narrow(sum), count, vectors);
}
