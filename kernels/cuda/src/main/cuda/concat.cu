// Channel concatenation: y[r, c] = a[r, c] for c < Ca, b[r, c - Ca] from there on.
//
// Layout   a [R, Ca], b [R, Cb], y [R, Ca + Cb] float16.
// Cost     4 R (Ca + Cb) bytes; bound by memory.
// Design   One thread per chunk of 8 values, first the chunks of a row of a, then those of b. Where Ca or Cb is no
//          multiple of 8, or addresses are unaligned, value by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
concat_channels(const __half* __restrict__ a, const __half* __restrict__ b, __half* __restrict__ y, int rows,
                int channels_a, int channels_b) {
    unsigned chunks_a = chunks_of(channels_a);
    unsigned chunks = chunks_a + chunks_of(channels_b);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    long long row = i / chunks;
    unsigned chunk = i % chunks;
    if (row >= rows) {
        return;
    }
    bool vectors = channels_a % 8 == 0 && channels_b % 8 == 0 && aligned16(a) && aligned16(b) && aligned16(y);
    bool from_a = chunk < chunks_a;
    int channels = from_a ? channels_a : channels_b;
    int c = (from_a ? chunk : chunk - chunks_a) * 8;
    const __half* source = (from_a ? a : b) + row * channels + c;
    __half* target = y + row * (channels_a + channels_b) + (from_a ? c : channels_a + c);
    store_chunk(target, load_chunk(source, channels - c, vectors), channels - c, vectors);
}
