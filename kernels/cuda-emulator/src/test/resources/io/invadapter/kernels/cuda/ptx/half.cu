// f16 and bf16: conversions of every value, and arithmetic.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void halves_to_floats(const unsigned short* a, float* h, float* b, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    h[i] = __half2float(__ushort_as_half(a[i]));
    b[i] = __bfloat162float(__ushort_as_bfloat16(a[i]));
}

extern "C" __global__ void floats_to_halves(const float* a, unsigned short* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = a[i];
    unsigned short* o = out + i;
    *o = __half_as_ushort(__float2half_rn(x)); o += n;
    *o = __half_as_ushort(__float2half_rz(x)); o += n;
    *o = __half_as_ushort(__float2half_rd(x)); o += n;
    *o = __half_as_ushort(__float2half_ru(x)); o += n;
    *o = __bfloat16_as_ushort(__float2bfloat16_rn(x)); o += n;
    *o = __bfloat16_as_ushort(__float2bfloat16_rz(x)); o += n;
    half2 h = __floats2half2_rn(x, -x);
    *o = __half_as_ushort(h.x); o += n;
    *o = __half_as_ushort(h.y); o += n;
    __nv_bfloat162 b = __floats2bfloat162_rn(x, -x);
    *o = __bfloat16_as_ushort(b.y);
}

extern "C" __global__ void half_arithmetic(const unsigned short* a, const unsigned short* b, const unsigned short* c,
                                           unsigned short* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    half x = __ushort_as_half(a[i]), y = __ushort_as_half(b[i]), z = __ushort_as_half(c[i]);
    unsigned short* o = out + i;
    *o = __half_as_ushort(__hadd(x, y)); o += n;
    *o = __half_as_ushort(__hsub(x, y)); o += n;
    *o = __half_as_ushort(__hmul(x, y)); o += n;
    *o = __half_as_ushort(__hfma(x, y, z)); o += n;
    *o = __half_as_ushort(__hneg(x)); o += n;
    *o = __half_as_ushort(__habs(x)); o += n;
    *o = __half_as_ushort(__hmin(x, y)); o += n;
    *o = __half_as_ushort(__hmax(x, y)); o += n;
    *o = __hlt(x, y) ? 1 : __heq(x, y) ? 2 : __hgt(x, y) ? 3 : 4; o += n;
    half2 p = __halves2half2(x, y), q = __halves2half2(y, z);
    half2 r = __hfma2(p, q, p);
    *o = __half_as_ushort(__low2half(r)); o += n;
    *o = __half_as_ushort(__high2half(r)); o += n;
    half2 e = __hge2(p, q);
    *o = __half_as_ushort(__low2half(e)); o += n;
    *o = __half_as_ushort(__high2half(e)); o += n;
    __nv_bfloat16 bx = __ushort_as_bfloat16(a[i]), by = __ushort_as_bfloat16(b[i]), bz = __ushort_as_bfloat16(c[i]);
    *o = __bfloat16_as_ushort(__hfma(bx, by, bz)); o += n;
    *o = __bfloat16_as_ushort(__hmax(bx, by));
}
