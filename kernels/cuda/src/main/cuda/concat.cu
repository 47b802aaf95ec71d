// Channel concatenation: y[r, c] = a[r, c] for c < Ca, b[r, c - Ca] from there on.
//
// Layout   a [R, Ca], b [R, Cb], y [R, Ca + Cb].
// Cost     2 R (Ca + Cb) values; bound by memory.
// Design   One thread per chunk of values, first the chunks of a row of a, then those of b. Where Ca or Cb is no
//          multiple of a chunk, or addresses are unaligned, value by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
concat_channels(const Value* __restrict__ a, const Value* __restrict__ b, Value* __restrict__ y, int rows,
                int channels_a, int channels_b) {
    unsigned chunks_a = chunks_of(channels_a);
    unsigned chunks = chunks_a + chunks_of(channels_b);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    long long row = i / chunks;
    unsigned chunk = i % chunks;
    if (row >= rows) {
        return;
    }
    bool vectors = channels_a % CHUNK == 0 && channels_b % CHUNK == 0 && aligned16(a) && aligned16(b) && aligned16(y);
    bool from_a = chunk < chunks_a;
    int channels = from_a ? channels_a : channels_b;
    int c = (from_a ? chunk : chunk - chunks_a) * CHUNK;
    const Value* source = (from_a ? a : b) + row * channels + c;
    Value* target = y + row * (channels_a + channels_b) + (from_a ? c : channels_a + c);
    store_chunk(target, load_chunk(source, channels - c, vectors), channels - c, vectors);
}
