// Pictures: bytes 0..255 and float16 in [-1, 1].
//
//   picture_to_half: y = x / 127.5 - 1;    half_to_picture: y = round(127.5 x + 127.5), kept within 0..255, NaN to 0
//
// Layout   rows of RGB pixels, [H, W, 3] on both sides (float16: NHWC); n = 3 H W values, of any number of pictures.
// Cost     3 n bytes; bound by memory.
// Design   Eight values per thread, 8 bytes of the picture and 16 of float16; the last, incomplete eight and unaligned
//          addresses go value by value.
#include "common.cuh"

namespace {
union Bytes {
    uint2 vector;
    uint8_t value[8];
};

__device__ inline bool aligned8(const void* pointer) { return (reinterpret_cast<uintptr_t>(pointer) & 7) == 0; }
}  // namespace

extern "C" __global__ void __launch_bounds__(256)
picture_to_half(const uint8_t* __restrict__ x, __half* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 8;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, 8LL));
    bool vectors = count == 8 && aligned8(x) && aligned16(y);
    Bytes bytes;
    if (vectors) {
        bytes.vector = *reinterpret_cast<const uint2*>(x + i);
    } else {
#pragma unroll
        for (int e = 0; e < 8; e++) {
            bytes.value[e] = e < count ? x[i + e] : 0;
        }
    }
    float values[8];
#pragma unroll
    for (int e = 0; e < 8; e++) {
        values[e] = bytes.value[e] * (1.0f / 127.5f) - 1.0f;
    }
    store_chunk(y + i, narrow(values), count, vectors);
}

extern "C" __global__ void __launch_bounds__(256)
half_to_picture(const __half* __restrict__ x, uint8_t* __restrict__ y, long long n) {
    long long i = (static_cast<long long>(blockIdx.x) * 256 + threadIdx.x) * 8;
    if (i >= n) {
        return;
    }
    int count = static_cast<int>(min(n - i, 8LL));
    bool vectors = count == 8 && aligned16(x) && aligned8(y);
    float values[8];
    widen(values, load_chunk(x + i, count, vectors));
    Bytes bytes;
#pragma unroll
    for (int e = 0; e < 8; e++) {
        // fmaxf gives 0 for NaN.
        bytes.value[e] = static_cast<uint8_t>(rintf(fminf(fmaxf(values[e] * 127.5f + 127.5f, 0.0f), 255.0f)));
    }
    if (vectors) {
        *reinterpret_cast<uint2*>(y + i) = bytes.vector;
    } else {
#pragma unroll
        for (int e = 0; e < 8; e++) {
            if (e < count) {
                y[i + e] = bytes.value[e];
            }
        }
    }
}
