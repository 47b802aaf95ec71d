// Token and position embedding: y[b, l, c] = table[id[b, l], c] + position[l, c].
//
// Layout   id [B, L] int32, table [V, C], position [at least L, C], y [B, L, C].
// Cost     3 B L C values (each row reads one row of both tables); bound by latency at this size.
// Design   One thread per chunk of channels. An id outside the table makes the row NaN, which cannot go unnoticed,
//          rather than reading where nothing belongs to us. C no multiple of a chunk, or unaligned addresses: value by
//          value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
token_embedding(const int* __restrict__ id, const Value* __restrict__ table, const Value* __restrict__ position,
                Value* __restrict__ y, int rows, int length, int channels, int vocabulary) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int row = i / chunks;
    int c = i % chunks * CHUNK;
    if (row >= rows) {
        return;
    }
    int count = channels - c;
    bool vectors = channels % CHUNK == 0 && aligned16(table) && aligned16(position) && aligned16(y);
    int token = id[row];
    float sum[CHUNK];
    if (token >= 0 && token < vocabulary) {
        float values[CHUNK];
        widen(sum, load_chunk(table + static_cast<long long>(token) * channels + c, count, vectors));
        widen(values, load_chunk(position + static_cast<long long>(row % length) * channels + c, count, vectors));
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            sum[e] += values[e];
        }
    } else {
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            sum[e] = NAN;
        }
    }
    store_chunk(y + static_cast<long long>(row) * channels + c, narrow(sum), count, vectors);
}
