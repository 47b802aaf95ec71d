// Batteries of integer and floating-point operations: out[operation * n + i] = operation(a[i], b[i], c[i]).
#include <cuda_fp16.h>

extern "C" __global__ void integers(const int* a, const int* b, const int* c, int* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int x = a[i], y = b[i], z = c[i];
    unsigned ux = x, uy = y, uz = z;
    int* o = out + i;
    *o = x + y; o += n;
    *o = x - y; o += n;
    *o = x * y + z; o += n;
    *o = __mulhi(x, y); o += n;
    *o = __umulhi(ux, uy); o += n;
    *o = x / (y | 1); o += n;
    *o = x % (y | 1); o += n;
    *o = ux / (uy | 1); o += n;
    *o = ux % (uy | 1); o += n;
    *o = x << (y & 31); o += n;
    *o = x >> (y & 31); o += n;
    *o = ux >> (uy & 31); o += n;
    *o = (x & y) | (~x & z); o += n;
    *o = x ^ y ^ z; o += n;
    *o = __popc(x); o += n;
    *o = __clz(x); o += n;
    *o = __brev(x); o += n;
    *o = __ffs(x); o += n;
    *o = __byte_perm(x, y, z); o += n;
    *o = __funnelshift_l(x, y, z); o += n;
    *o = __funnelshift_rc(x, y, z & 63); o += n;
    *o = min(x, y); o += n;
    *o = max(x, y); o += n;
    *o = min(ux, uy); o += n;
    *o = max(ux, uy); o += n;
    *o = abs(x); o += n;
    *o = __sad(x, y, z); o += n;
    *o = __usad(ux, uy, uz); o += n;
    *o = __dp4a(x, y, z); o += n;
    *o = __mul24(x, y); o += n;
    *o = (x >> 5) & 0x3ff; o += n;
    *o = (x << 7) >> 20; o += n;
    *o = x < y ? z : -z; o += n;
    *o = (short)x * (short)y; o += n;
    *o = (signed char)x + (unsigned char)y; o += n;
    *o = (unsigned short)x / (unsigned short)(y | 1); o += n;
    *o = x % 7 + ux % 10u; o += n;
    asm("bfe.s32 %0, %1, 11, 9;" : "=r"(*o) : "r"(x)); o += n;
    asm("bfi.b32 %0, %1, %2, 5, 13;" : "=r"(*o) : "r"(x), "r"(y)); o += n;
    asm("add.sat.s32 %0, %1, %2;" : "=r"(*o) : "r"(x), "r"(y));
}

extern "C" __global__ void longs(const long long* a, const long long* b, long long* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    long long x = a[i], y = b[i];
    unsigned long long ux = x, uy = y;
    long long* o = out + i;
    *o = x + y; o += n;
    *o = x * y; o += n;
    *o = __mul64hi(x, y); o += n;
    *o = __umul64hi(ux, uy); o += n;
    *o = x / (y | 1); o += n;
    *o = ux % (uy | 1); o += n;
    *o = x << (y & 63); o += n;
    *o = x >> (y & 63); o += n;
    *o = ux >> (uy & 63); o += n;
    *o = __popcll(x) * 100 + __clzll(x); o += n;
    *o = __brevll(x); o += n;
    *o = min(x, y); o += n;
    *o = max(ux, uy); o += n;
    *o = x < y ? 1 : ux < uy ? 2 : 3; o += n;
    *o = (long long)(int)x * (int)y; o += n;
    *o = (unsigned long long)(unsigned)x * (unsigned)y + ux; o += n;
    *o = (x >> 13) & 0xfffff;
}

extern "C" __global__ void floats(const float* a, const float* b, const float* c, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = a[i], y = b[i], z = c[i];
    float* o = out + i;
    *o = __fadd_rn(x, y); o += n;
    *o = __fsub_rn(x, y); o += n;
    *o = __fmul_rn(x, y); o += n;
    *o = __fmaf_rn(x, y, z); o += n;
    *o = __fdiv_rn(x, y); o += n;
    *o = __fsqrt_rn(fabsf(x)); o += n;
    *o = __frcp_rn(x); o += n;
    *o = fminf(x, y); o += n;
    *o = fmaxf(x, y); o += n;
    *o = -x; o += n;
    *o = fabsf(x); o += n;
    *o = copysignf(x, y); o += n;
    *o = floorf(x); o += n;
    *o = ceilf(x); o += n;
    *o = truncf(x); o += n;
    *o = rintf(x); o += n;
    *o = x < y ? 1 : x == y ? 2 : x > y ? 3 : 4; o += n;
    *o = !(x < y) ? 1 : 0; o += n;
    *o = __saturatef(x); o += n;
    *o = __fadd_rz(x, y); o += n;
    *o = __fadd_ru(x, y); o += n;
    *o = __fmul_rd(x, y); o += n;
    *o = __fmaf_ru(x, y, z); o += n;
    *o = __fdiv_rz(x, y); o += n;
    *o = __fsqrt_ru(fabsf(x)); o += n;
    asm("add.ftz.f32 %0, %1, %2;" : "=f"(*o) : "f"(x), "f"(y)); o += n;
    asm("mul.ftz.f32 %0, %1, %2;" : "=f"(*o) : "f"(x), "f"(y)); o += n;
    asm("fma.rn.ftz.f32 %0, %1, %2, %3;" : "=f"(*o) : "f"(x), "f"(y), "f"(z));
}

extern "C" __global__ void conversions(const float* a, const int* b, int* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = a[i];
    int k = b[i];
    int* o = out + i;
    *o = __float2int_rz(x); o += n;
    *o = __float2int_rn(x); o += n;
    *o = __float2int_rd(x); o += n;
    *o = __float2uint_rz(x); o += n;
    *o = (int)(__float2ll_rz(x) >> 3); o += n;
    *o = (int)(__float2ull_rz(x) >> 5); o += n;
    *o = __float_as_int(__int2float_rn(k)); o += n;
    *o = __float_as_int(__int2float_rz(k)); o += n;
    *o = __float_as_int(__uint2float_rn(k)); o += n;
    *o = __float_as_int(__uint2float_ru(k)); o += n;
    *o = __float_as_int(__ll2float_rn((long long)k * 0x12345677LL)); o += n;
    *o = __float_as_int(__ull2float_rn((unsigned long long)k * 0x12345677ULL)); o += n;
    *o = __float_as_int((float)((double)x * 1.1)); o += n;
    *o = (signed char)k; o += n;
    *o = (unsigned short)k; o += n;
    unsigned char saturated;
    asm("{ .reg .u16 t; cvt.sat.u8.s32 t, %1; cvt.u32.u16 %0, t; }" : "=r"(*o) : "r"(k)); o += n;
    saturated = (unsigned char)fminf(fmaxf(x, 0.f), 255.f);
    *o = saturated; o += n;
    *o = __double2int_rn((double)k / 3.0);
}

extern "C" __global__ void doubles(const double* a, const double* b, double* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double x = a[i], y = b[i];
    double* o = out + i;
    *o = __dadd_rn(x, y); o += n;
    *o = __dmul_rn(x, y); o += n;
    *o = __fma_rn(x, y, x); o += n;
    *o = __ddiv_rn(x, y); o += n;
    *o = __dsqrt_rn(fabs(x)); o += n;
    *o = fmin(x, y); o += n;
    *o = x > y ? 1. : 0.; o += n;
    *o = floor(x);
}

// exp, log and the like as nvcc expands them: within a few ulp of the truth.
extern "C" __global__ void functions(const float* a, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = a[i];
    float* o = out + i;
    *o = expf(x); o += n;
    *o = logf(fabsf(x)); o += n;
    *o = sinf(x); o += n;
    *o = cosf(x * 100000.f); o += n;
    *o = tanhf(x); o += n;
    *o = erff(x); o += n;
    *o = powf(fabsf(x), 1.7f); o += n;
    *o = rsqrtf(fabsf(x)); o += n;
    *o = exp2f(x); o += n;
    *o = log2f(fabsf(x));
}
