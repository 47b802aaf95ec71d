// The smallest kernels there are: nothing but a launch has to work for them. Compiled with
//   nvcc -ptx -arch=sm_80 -O3 proof.cu
// without comments and with .version 7.0, as kernels/cuda/build-ptx does, to resources/io/invadapter/gpucheck/first/proof.ptx.

// y[i] = 3 i + 1
extern "C" __global__ void numbers(unsigned* y, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        y[i] = 3 * i + 1;
    }
}

// y = x backwards, n values of one block, by way of n values of dynamic shared memory.
extern "C" __global__ void backwards(const unsigned* x, unsigned* y, unsigned n) {
    extern __shared__ unsigned shared[];
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
        shared[i] = x[i];
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
        y[i] = shared[n - 1 - i];
    }
}
