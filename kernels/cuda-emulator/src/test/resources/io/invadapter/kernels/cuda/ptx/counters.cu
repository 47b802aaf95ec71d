// Accesses with known costs.
extern "C" __global__ void strided_copy(const float* a, float* out, int stride, int offset) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = a[i * stride + offset];
}

extern "C" __global__ void vector_copy(const float4* a, float4* out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = a[i];
}

extern "C" __global__ void same_for_all(const float* a, float* out) { out[threadIdx.x] = a[0] * threadIdx.x; }

// Each thread writes its own word and reads one `stride` words apart.
extern "C" __global__ void banks(int* out, int stride) {
    extern __shared__ int s[];
    for (int i = threadIdx.x; i < 32 * stride; i += 32) s[i] = i;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x * stride];
}

// float4 rows of `pitch` floats, one row for each thread.
extern "C" __global__ void wide_banks(float* out, int pitch) {
    extern __shared__ __align__(16) float f[];
    for (int i = threadIdx.x; i < 32 * pitch; i += 32) f[i] = i;
    __syncthreads();
    float4 v = *(float4*)&f[threadIdx.x * pitch];
    out[threadIdx.x] = v.x + v.y + v.z + v.w;
}

// A fixed amount of arithmetic, for measuring the emulator.
extern "C" __global__ void polynomial(float* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float v = x[i], s = 0;
    for (int k = 0; k < n; k++) {
        s = fmaf(s, v, 0.25f);
        s = fmaf(s, v, -0.5f) + (float)(k & 3);
        v = v * 0.999f;
    }
    x[i] = s;
}
