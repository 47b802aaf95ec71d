// Shuffles, votes, reductions, matches, atomics, shared-memory reductions, named barriers.
extern "C" __global__ void shuffles(const int* a, int* out) {
    int lane = threadIdx.x;
    int x = a[lane];
    int* o = out + lane;
    *o = __shfl_sync(~0u, x, (lane * 7) & 31); o += 32;
    *o = __shfl_up_sync(~0u, x, 3); o += 32;
    *o = __shfl_down_sync(~0u, x, 5); o += 32;
    *o = __shfl_xor_sync(~0u, x, 9); o += 32;
    *o = __shfl_sync(~0u, x, lane + 1, 8); o += 32;
    *o = __shfl_up_sync(~0u, x, 2, 16); o += 32;
    *o = __shfl_down_sync(~0u, x, 3, 4); o += 32;
    *o = __shfl_xor_sync(~0u, x, 12, 8); o += 32;
    // Only the odd lanes, in divergent code.
    int y = -1;
    if (lane & 1) y = __shfl_xor_sync(0xaaaaaaaa, x, 2);
    *o = y; o += 32;
    *o = (int)(__shfl_down_sync(~0u, (long long)x << 20, 1) >> 20);
}

extern "C" __global__ void votes(const int* a, unsigned* out) {
    int lane = threadIdx.x;
    int x = a[lane];
    unsigned* o = out + lane;
    *o = __ballot_sync(~0u, x > 0); o += 32;
    *o = __all_sync(~0u, x > -1000); o += 32;
    *o = __any_sync(~0u, x == 12345); o += 32;
    *o = __match_any_sync(~0u, x & 3); o += 32;
    *o = __reduce_add_sync(~0u, x); o += 32;
    *o = __reduce_max_sync(~0u, x); o += 32;
    *o = __reduce_min_sync(~0u, (unsigned)x); o += 32;
    unsigned m = 0;
    if (x > 0) m = __activemask();
    *o = m; o += 32;
    int p;
    *o = __match_all_sync(~0u, x >> 31, &p) + p;
}

extern "C" __global__ void block_sum(const float* a, float* out, int n) {
    __shared__ float partial[32];
    float sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += a[i];
    for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(~0u, sum, o);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0;
        for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(~0u, sum, o);
        if (threadIdx.x == 0) out[blockIdx.x] = sum;
    }
}

extern "C" __global__ void tree_sum(const int* a, int* out) {
    extern __shared__ int s[];
    s[threadIdx.x] = a[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    for (int o = blockDim.x / 2; o > 0; o /= 2) {
        if (threadIdx.x < o) s[threadIdx.x] += s[threadIdx.x + o];
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = s[0];
}

extern "C" __global__ void atomics(const int* a, int* out, float* sum, unsigned long long* big, int n) {
    __shared__ int histogram[16];
    if (threadIdx.x < 16) histogram[threadIdx.x] = 0;
    __syncthreads();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        int x = a[i];
        atomicAdd(&histogram[x & 15], 1);
        atomicMax(&out[16], x);
        atomicMin(&out[17], x);
        atomicOr(&out[18], x);
        atomicXor(&out[19], x);
        atomicInc((unsigned*)&out[20], 99);
        atomicAdd(sum, (float)(x & 7));
        atomicAdd(big, (unsigned long long)(unsigned)x);
        int old = out[21], assumed;
        do {
            assumed = old;
            old = atomicCAS(&out[21], assumed, assumed + (x & 3));
        } while (old != assumed);
    }
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&out[threadIdx.x], histogram[threadIdx.x]);
}

extern "C" __global__ void block_votes(const int* a, int* out) {
    int x = a[threadIdx.x];
    int c = __syncthreads_count(x > 0);
    int d = __syncthreads_and(x > -1000);
    int e = __syncthreads_or(x > 1000);
    out[threadIdx.x] = c * 4 + (d ? 2 : 0) + (e ? 1 : 0);
}

// Warps 0 and 1 produce for warps 2 and 3 over a named barrier.
extern "C" __global__ void producer(const int* a, int* out) {
    __shared__ int s[64];
    int t = threadIdx.x;
    if (t < 64) {
        s[t] = a[t] + 1;
        asm volatile("bar.arrive 1, 128;" ::: "memory");
    } else {
        asm volatile("bar.sync 1, 128;" ::: "memory");
        out[t - 64] = s[127 - t];
    }
}
