// Guidance rescale (Lin et al. 2023, equations 15 and 16): gives each picture as much deviation as a reference has, or part of it.
//
//   target[b] *= amount[b] s(reference[b]) / s(target[b]) + 1 - amount[b],   s the standard deviation over all n values
//
// Layout   target, reference [pictures, n], amounts [pictures], all float32 whatever the library's type. A picture whose amount
//          is 0 stays as it is.
// Cost     12 n bytes; n is 16384 per picture: a launch's latency.
// Design   One block per picture, three passes of which two hit the cache: sums, squared distances from the means, products. Every
//          thread adds up what is a block apart, then lanes, then warps: the same way every time.
#include "common.cuh"

constexpr int THREADS = 1024;

// Of the whole block, for every thread; partial has a place for each warp.
__device__ inline float block_sum(float x, float* partial) {
    float sum = warp_sum(x);
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = sum;
    }
    __syncthreads();
    sum = warp_sum(partial[threadIdx.x % 32]);
    // Before the next sum's are written.
    __syncthreads();
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
match_deviation(float* target, const float* reference, const float* amounts, long long n) {
    __shared__ float partial[THREADS / 32];
    float amount = amounts[blockIdx.x];
    if (amount == 0.0f) {
        return;
    }
    target += blockIdx.x * n;
    reference += blockIdx.x * n;
    float sum = 0.0f;
    float reference_sum = 0.0f;
#pragma unroll 1
    for (long long i = threadIdx.x; i < n; i += THREADS) {
        sum += target[i];
        reference_sum += reference[i];
    }
    float mean = block_sum(sum, partial) / n;
    float reference_mean = block_sum(reference_sum, partial) / n;
    float squares = 0.0f;
    float reference_squares = 0.0f;
#pragma unroll 1
    for (long long i = threadIdx.x; i < n; i += THREADS) {
        float difference = target[i] - mean;
        squares += difference * difference;
        difference = reference[i] - reference_mean;
        reference_squares += difference * difference;
    }
    float ratio = sqrtf(block_sum(reference_squares, partial) / block_sum(squares, partial));
    float factor = amount * ratio + (1.0f - amount);
#pragma unroll 1
    for (long long i = threadIdx.x; i < n; i += THREADS) {
        target[i] *= factor;
    }
}
