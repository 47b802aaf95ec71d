// The approximations of the hardware; built with -use_fast_math.
extern "C" __global__ void approximations(const float* a, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float x = a[i];
    float* o = out + i;
    *o = __expf(x); o += n;
    *o = __logf(fabsf(x)); o += n;
    *o = __sinf(x); o += n;
    *o = __cosf(x); o += n;
    *o = __fdividef(1.f, x); o += n;
    *o = rsqrtf(fabsf(x)); o += n;
    *o = sqrtf(fabsf(x)); o += n;
    asm("tanh.approx.f32 %0, %1;" : "=f"(*o) : "f"(x)); o += n;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(*o) : "f"(x)); o += n;
    asm("lg2.approx.f32 %0, %1;" : "=f"(*o) : "f"(fabsf(x)));
}
