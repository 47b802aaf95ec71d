// One mistake in each kernel.
extern "C" __global__ void store(int* a, int i) { a[i + threadIdx.x] = 1; }

extern "C" __global__ void load(const int* a, int* out, int offset) {
    out[threadIdx.x] = *(const int*)((const char*)a + offset + threadIdx.x * 4);
}

extern "C" __global__ void shared_overrun(int* out, int i) {
    __shared__ int s[32];
    s[threadIdx.x + i] = 1;
    __syncthreads();
    out[threadIdx.x] = s[31 - threadIdx.x];
}

extern "C" __global__ void shared_unwritten(int* out) {
    __shared__ int s[64];
    s[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x + 1];
}

extern "C" __global__ void local_unwritten(int* out, int k) {
    int v[8];
    v[k & 3] = 1;
    out[threadIdx.x] = v[(k + threadIdx.x) & 7];
}

// A thread reads what another one wrote, without a barrier, or with one for the warp only.
template <bool SYNC>
__device__ void exchange(int* out, int partner) {
    extern __shared__ int s[];
    s[threadIdx.x] = threadIdx.x;
    if (SYNC) __syncwarp();
    asm volatile("" ::: "memory");
    out[threadIdx.x] = s[threadIdx.x & ~partner];
}

extern "C" __global__ void race(int* out, int partner) { exchange<false>(out, partner); }

extern "C" __global__ void ordered_in_warp(int* out, int partner) { exchange<true>(out, partner); }

// The second warp overwrites what the first one reads.
extern "C" __global__ void overtaken(int* out) {
    __shared__ int s[64];
    s[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x < 32) out[threadIdx.x] = s[threadIdx.x + 32];
    else s[threadIdx.x] = 2;
    __syncthreads();
    if (threadIdx.x >= 32) out[threadIdx.x] = s[threadIdx.x];
}

// Neighbouring bytes are nobody's business; the same byte is.
extern "C" __global__ void byte_neighbours(int* out, int shift) {
    extern __shared__ unsigned char b[];
    b[(threadIdx.x % 32 * 2 + threadIdx.x / 32) >> shift] = 1;
    __syncthreads();
    out[threadIdx.x] = b[threadIdx.x >> shift];
}

extern "C" __global__ void all_lanes_store(int* out, int mask) {
    __shared__ int s;
    s = threadIdx.x & mask;
    __syncthreads();
    out[threadIdx.x] = s;
}

// The tile is overwritten while slower warps may still read it.
extern "C" __global__ void write_after_read(const int* a, int* out) {
    __shared__ int s[64];
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        s[threadIdx.x] = a[i * 64 + threadIdx.x];
        __syncthreads();
        sum += s[63 - threadIdx.x];
    }
    out[threadIdx.x] = sum;
}

extern "C" __global__ void async_copy(const int* a, int* out, int misplaced) {
    extern __shared__ __align__(16) int s[];
    unsigned at = (unsigned)__cvta_generic_to_shared(s + threadIdx.x * 4);
    if (misplaced) __syncthreads();
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(at), "l"(a + threadIdx.x * 4) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    int last = blockDim.x - 1 - threadIdx.x;
    out[threadIdx.x] = s[last * 4] + s[last * 4 + 1] + s[last * 4 + 2] + s[last * 4 + 3];
}

extern "C" __global__ void divergent_barrier(int* out) {
    if (threadIdx.x < 16) {
        out[threadIdx.x] = 1;
        asm volatile("bar.sync 0;" ::: "memory");
        out[threadIdx.x] = 2;
    } else {
        asm volatile("bar.sync 0;" ::: "memory");
        out[threadIdx.x] = 3;
    }
}

extern "C" __global__ void missed_barrier(int* out) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void divergent_mma(float* out) {
    float d[4] = {};
    unsigned x = threadIdx.x;
    if (threadIdx.x != 5)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%4}, {%4}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(x));
    out[threadIdx.x] = d[0];
}

extern "C" __global__ void shuffle_from_absent(int* out) {
    int x = threadIdx.x;
    if (threadIdx.x < 16) x = __shfl_xor_sync(0xffff, x, 16);
    out[threadIdx.x] = x;
}

extern "C" __global__ void outside_own_mask(int* out) { out[threadIdx.x] = __shfl_xor_sync(0xffff, threadIdx.x, 1); }

extern "C" __global__ void everyone_stores(int* out) { out[threadIdx.x] = blockIdx.x; }

extern "C" __global__ void reads_neighbour(int* data) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    data[i] = i;
    data[i] += data[i >= blockDim.x ? i - blockDim.x : i];
}

extern "C" __global__ void endless(volatile int* flag) {
    while (*flag == 0) { }
}

extern "C" __global__ void trapped(int* out) {
    if (threadIdx.x == 7) __trap();
    out[threadIdx.x] = 1;
}

__constant__ int table[4] = {1, 2, 3, 4};
extern "C" __global__ void writes_constant(int* out, int i) {
    asm volatile("st.b32 [%0], %1;" ::"l"(&table[i]), "r"(5) : "memory");
    out[0] = table[0];
}
