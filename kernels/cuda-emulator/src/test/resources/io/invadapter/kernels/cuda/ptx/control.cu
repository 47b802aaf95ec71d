// Divergence, loops, local memory, constants, generic pointers.
__constant__ int primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
__device__ int total;

extern "C" __global__ void collatz(const int* a, int* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned x = a[i];
    int steps = 0;
    while (x != 1) {
        if (x % 2 == 0) x /= 2;
        else x = 3 * x + 1;
        steps++;
        if (steps > 500) break;
    }
    out[i] = steps;
}

extern "C" __global__ void cases(const int* a, int* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int x = a[i], r;
    switch (x & 7) {
        case 0: r = x * 3; break;
        case 1: r = x + primes[(x >> 3) & 7]; break;
        case 2: r = x ^ 0x55; break;
        case 3: r = 7; break;
        case 4: r = -x;  // falls through
        case 5: r = x / 5; break;
        case 6: r = __popc(x); break;
        default: r = 99;
    }
    out[i] = r;
}

extern "C" __global__ void sort_local(const int* a, int* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int v[12];
    for (int k = 0; k < 12; k++) v[k] = a[i * 12 + k];
    for (int k = 1; k < 12; k++)
        for (int j = k; j > 0 && v[j - 1] > v[j]; j--) {
            int t = v[j]; v[j] = v[j - 1]; v[j - 1] = t;
        }
    for (int k = 0; k < 12; k++) out[i * 12 + k] = v[k];
}

struct Pair { int first; double second; short tail[3]; };

extern "C" __global__ void structure(Pair p, char c, float* out) {
    out[threadIdx.x] = p.first + (float)p.second + p.tail[threadIdx.x % 3] + c;
}

extern "C" __global__ void generic(const int* a, int* out, int n) {
    __shared__ int s[64];
    int local[4] = {1, 2, 3, 4};
    int i = threadIdx.x;
    s[i] = a[i] * 2;
    __syncthreads();
    const int* p = i % 3 == 0 ? &s[63 - i] : i % 3 == 1 ? &local[i & 3] : &a[i];
    asm volatile("ld.b32 %0, [%1];" : "=r"(out[i]) : "l"(p));
    atomicAdd(&total, i);
}

extern "C" __global__ void coordinates(int* out) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    int threads = blockDim.x * blockDim.y * blockDim.z;
    out[block * threads + thread] = threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * blockIdx.x
            + 10000 * blockIdx.y + 100000 * blockIdx.z;
}

extern "C" __global__ void spin_lock(int* lock, int* count) {
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            *(volatile int*)count = *(volatile int*)count + 1;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}
