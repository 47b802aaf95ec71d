// One step of any sampler that is linear in what it knows: some of it replaced by sums of all of it, for each picture
//
//   target_i[b] = sum_j factors[b, i, j] term_j[b]
//
// Layout   Targets and terms [pictures, n], all float32 whatever the library's type; a target may be one of the terms. Factors
//          [pictures, targets, terms], or [targets, terms] for all pictures alike (factor_stride 0), are read from memory: a
//          recorded launch serves any step. A term whose factor is 0 is left out: it may hold anything.
// Cost     4 n bytes for each term that counts and for each target; n is 16384 per picture: a launch's latency.
// Design   Grid (ceil(n / 256), pictures). One value of all targets per thread, whose sums wait in registers until every term is
//          read: each term once, in the order of the terms.
#include <cstdint>

namespace {
constexpr int MOST_TARGETS = 8;
constexpr int MOST_TERMS = 16;
}  // namespace

struct Operands {
    float* target[MOST_TARGETS];
    const float* term[MOST_TERMS];
};

extern "C" __global__ void __launch_bounds__(256)
combine(const Operands operands, int targets, int terms, const float* factors, long long factor_stride, long long n) {
    long long i = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
    if (i >= n) {
        return;
    }
    long long place = blockIdx.y * n + i;
    factors += blockIdx.y * factor_stride;
    float sum[MOST_TARGETS] = {};
#pragma unroll 1
    for (int j = 0; j < terms; j++) {
        float factor[MOST_TARGETS];
        bool counts = false;
#pragma unroll
        for (int k = 0; k < MOST_TARGETS; k++) {
            factor[k] = k < targets ? factors[k * terms + j] : 0.0f;
            counts |= factor[k] != 0.0f;
        }
        if (counts) {
            float value = operands.term[j][place];
#pragma unroll
            for (int k = 0; k < MOST_TARGETS; k++) {
                if (factor[k] != 0.0f) {
                    sum[k] += factor[k] * value;
                }
            }
        }
    }
#pragma unroll
    for (int k = 0; k < MOST_TARGETS; k++) {
        if (k < targets) {
            operands.target[k][place] = sum[k];
        }
    }
}
