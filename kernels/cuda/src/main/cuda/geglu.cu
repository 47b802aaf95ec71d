// GEGLU: y[r, c] = a gelu(b), a = x[r, c] + bias[c], b = x[r, D + c] + bias[D + c]; gelu with the exact error function.
//
// Layout   x [R, 2 D] (values, then gates), y [R, D], bias [2 D] or null.
// Cost     3 R D values, plus the bias once per thread; about 30 FLOPs per result; bound by memory.
// Design   A thread has one chunk of results of some consecutive rows: of one while there are multiprocessors to fill, of up to
//          8 beyond, so that the bias is read once for them; neighbouring threads have neighbouring chunks. D no multiple of a chunk, or unaligned addresses: value by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
geglu(const Value* __restrict__ x, const Value* __restrict__ bias, Value* __restrict__ y, int rows, int channels,
      int rows_per_thread) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int first = i / chunks * rows_per_thread;
    int c = i % chunks * CHUNK;
    int count = channels - c;
    bool vectors = channels % CHUNK == 0 && aligned16(x) && aligned16(bias) && aligned16(y);
    float value_bias[CHUNK] = {};
    float gate_bias[CHUNK] = {};
    if (first < rows && bias != nullptr) {
        widen(value_bias, load_chunk(bias + c, count, vectors));
        widen(gate_bias, load_chunk(bias + channels + c, count, vectors));
    }
#pragma unroll 2
    for (int row = first; row < min(first + rows_per_thread, rows); row++) {
        const Value* source = x + static_cast<long long>(row) * channels * 2 + c;
        float value[CHUNK];
        float gate[CHUNK];
        widen(value, load_chunk(source, count, vectors));
        widen(gate, load_chunk(source + channels, count, vectors));
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            value[e] = (value[e] + value_bias[e]) * Gelu()(gate[e] + gate_bias[e]);
        }
        store_chunk(y + static_cast<long long>(row) * channels + c, narrow(value), count, vectors);
    }
}
