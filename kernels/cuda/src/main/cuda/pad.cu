// Zeros around pictures: y[n, i, j, c] = x[n, i - top, j - left, c] where there is such a pixel, else 0.
//
// Layout   x [N, H, W, C], y [N, H', W', C], H' = H + top + bottom, W' = W + left + right.
// Cost     N H W C values read, N H' W' C written; bound by memory.
// Design   One thread per chunk of channels of an output pixel. C no multiple of a chunk, or unaligned addresses: value
//          by value.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
pad(const Value* __restrict__ x, Value* __restrict__ y, int images, int height, int width, int channels, int top,
    int left, int out_height, int out_width) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * CHUNK;
    unsigned pixel = i / chunks;
    unsigned line = pixel / out_width;
    int column = static_cast<int>(pixel % out_width) - left;
    int image = line / out_height;
    int row = static_cast<int>(line % out_height) - top;
    if (image >= images) {
        return;
    }
    int count = channels - c;
    bool vectors = channels % CHUNK == 0 && aligned16(x) && aligned16(y);
    Chunk chunk = {};
    if (row >= 0 && row < height && column >= 0 && column < width) {
        long long source = (static_cast<long long>(image) * height + row) * width + column;
        chunk = load_chunk(x + source * channels + c, count, vectors);
    }
    store_chunk(y + static_cast<long long>(pixel) * channels + c, chunk, count, vectors);
}
