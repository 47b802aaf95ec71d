// Pictures: bytes 0..255 and values in [-1, 1].
//
//   from_picture: y = x / 127.5 - 1;    to_picture: y = round(127.5 x + 127.5), kept within 0..255, NaN to 0
//
// Layout   rows of RGB pixels, [H, W, 3] on both sides (values: NHWC); n = 3 H W values, of any number of pictures.
// Cost     n bytes and n values; bound by memory.
// Design   One chunk of values per thread, as many bytes of the picture; the last, incomplete chunk and unaligned
//          addresses go value by value.
#include "common.cuh"

namespace {
// As many bytes as a chunk has values.
struct alignas(CHUNK) Bytes {
    uint8_t value[CHUNK];
};

__device__ inline bool aligned(const uint8_t* pointer) {
    return (reinterpret_cast<uintptr_t>(pointer) & (CHUNK - 1)) == 0;
}
}  // namespace

extern "C" __global__ void __launch_bounds__(256)
from_picture(const uint8_t* __restrict__ x, Value* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * CHUNK;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, static_cast<long long>(CHUNK)));
    bool vectors = count == CHUNK && aligned(x) && aligned16(y);
    Bytes bytes;
    if (vectors) {
        bytes = *reinterpret_cast<const Bytes*>(x + i);
    } else {
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            bytes.value[e] = e < count ? x[i + e] : 0;
        }
    }
    float values[CHUNK];
#pragma unroll
    for (int e = 0; e < CHUNK; e++) {
        values[e] = bytes.value[e] * (1.0f / 127.5f) - 1.0f;
    }
    store_chunk(y + i, narrow(values), count, vectors);
}

extern "C" __global__ void __launch_bounds__(256)
to_picture(const Value* __restrict__ x, uint8_t* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * CHUNK;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, static_cast<long long>(CHUNK)));
    bool vectors = count == CHUNK && aligned16(x) && aligned(y);
    float values[CHUNK];
    widen(values, load_chunk(x + i, count, vectors));
    Bytes bytes;
#pragma unroll
    for (int e = 0; e < CHUNK; e++) {
        // fmaxf gives 0 for NaN.
        bytes.value[e] = static_cast<uint8_t>(rintf(fminf(fmaxf(values[e] * 127.5f + 127.5f, 0.0f), 255.0f)));
    }
    if (vectors) {
        *reinterpret_cast<Bytes*>(y + i) = bytes;
    } else {
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            if (e < count) {
                y[i + e] = bytes.value[e];
            }
        }
    }
}
