// One part of a concatenation: y[r, at + c] = x[r, c].
//
// Layout   x [R, C], y [R, width]; the columns of y from `at` on are those of this part.
// Cost     2 R C values; bound by memory.
// Design   One thread per chunk of x. Where C, width or `at` is no multiple of a chunk, or addresses are unaligned, value by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
concat(const Value* __restrict__ x, Value* __restrict__ y, int rows, int channels, int width, int at) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    long long row = i / chunks;
    int c = i % chunks * CHUNK;
    if (row >= rows) {
        return;
    }
    const Value* source = x + row * channels + c;
    Value* target = y + row * width + at + c;
    bool vectors = channels % CHUNK == 0 && width % CHUNK == 0 && aligned16(x) && aligned16(y + at);
    store_chunk(target, load_chunk(source, channels - c, vectors), channels - c, vectors);
}
