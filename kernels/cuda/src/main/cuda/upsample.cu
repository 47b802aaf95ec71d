// Nearest-neighbour enlargement by two: y[n, i, j, c] = x[n, i / 2, j / 2, c].
//
// Layout   x [N, H, W, C] float16, y [N, 2 H, 2 W, C] float16.
// Cost     2 N H W C bytes read, 8 N H W C written; bound by memory.
// Design   One thread per chunk of 8 channels of an input pixel: reads it once, writes it to four places.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
upsample_nearest_2x(const __half* __restrict__ x, __half* __restrict__ y, int rows, int width, int channels) {
    // `rows` counts the rows of all images: row r of the input is rows 2 r and 2 r + 1 of the output.
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * 8;
    unsigned pixel = i / chunks;
    int row = pixel / width;
    int column = pixel % width;
    if (row >= rows) {
        return;
    }
    int count = channels - c;
    bool vectors = channels % 8 == 0 && aligned16(x) && aligned16(y);
    Chunk chunk = load_chunk(x + static_cast<long long>(pixel) * channels + c, count, vectors);
#pragma unroll
    for (int corner = 0; corner < 4; corner++) {
        long long target = (2LL * row + corner / 2) * (2 * width) + 2 * column + corner % 2;
        store_chunk(y + target * channels + c, chunk, count, vectors);
    }
}
