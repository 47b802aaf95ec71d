// Nearest-neighbour enlargement by two, y[n, i, j, c] = x[n, i / 2, j / 2, c], perhaps without the last row or column:
// the way back from an odd size that was halved.
//
// Layout   x [N, H, W, C], y [N, H', W', C], H' = 2 H or 2 H - 1, W' = 2 W or 2 W - 1.
// Cost     N H W C values read, N H' W' C written; bound by memory.
// Design   One thread per chunk of channels of an input pixel: reads it once, writes it to four places.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
upsample_nearest_2x(const Value* __restrict__ x, Value* __restrict__ y, int images, int height, int width, int channels,
                    int out_height, int out_width) {
    unsigned chunks = chunks_of(channels);
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    int c = i % chunks * CHUNK;
    unsigned pixel = i / chunks;
    unsigned line = pixel / width;
    int column = pixel % width;
    int image = line / height;
    int row = line % height;
    if (image >= images) {
        return;
    }
    int count = channels - c;
    bool vectors = channels % CHUNK == 0 && aligned16(x) && aligned16(y);
    Chunk chunk = load_chunk(x + static_cast<long long>(pixel) * channels + c, count, vectors);
#pragma unroll
    for (int corner = 0; corner < 4; corner++) {
        int out_row = 2 * row + corner / 2;
        int out_column = 2 * column + corner % 2;
        if (out_row < out_height && out_column < out_width) {
            long long target = (static_cast<long long>(image) * out_height + out_row) * out_width + out_column;
            store_chunk(y + target * channels + c, chunk, count, vectors);
        }
    }
}
