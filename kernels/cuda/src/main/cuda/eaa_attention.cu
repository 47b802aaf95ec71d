// Embedded attention adapter (equations 2 to 5 of arXiv 2406.02881), both sources in one launch:
//
//   out = softmax(scale Q K^T) V + lambda softmax(scale Q K'^T) V'
//
// with two softmaxes, each normalised by itself. K, V: the layer's own (self attention) or the prompt's (cross
// attention); K', V': the identity's, one set for any number of batch rows.
//
// Layout   as attention.cu; k', v' [I, Lk', H, D] with their own strides. map[b] (int32) is the identity of batch row b,
//          lambda[b] (float32) its strength. Where lambda is 0 the second source costs nothing and map[b] is not read:
//          the result is attention's, bit for bit.
// Cost     4 B H L (Lk + Lk') D FLOPs, 2 B H (2 L + 2 Lk) D + 4 I H Lk' D bytes; bound by arithmetic. Beside two calls
//          of attention and an addition it saves reading Q twice, writing and reading two results, and two launches.
// Design   attention.cuh. Grid (ceil(L / 64 MT), H, B), 128 threads.
#include "attention.cuh"

#define EAA_ATTENTION(name, D, MT, KEYS, PADDED)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                            \
    name(const Operand q, const Operand k, const Operand v, const Operand out, const Identity identity, int queries, \
         int keys, int d, float scale_log2) {                                                                        \
        attend<D, MT, KEYS, PADDED, true>(q, k, v, out, &identity, queries, keys, d, scale_log2, false);             \
    }

EAA_ATTENTION(eaa_attention_40, 40, 2, 64, false)
EAA_ATTENTION(eaa_attention_64, 64, 2, 32, false)
EAA_ATTENTION(eaa_attention_80, 80, 2, 32, false)
EAA_ATTENTION(eaa_attention_160, 160, 1, 32, false)
EAA_ATTENTION(eaa_attention_any_32, 32, 2, 64, true)
EAA_ATTENTION(eaa_attention_any_96, 96, 1, 64, true)
EAA_ATTENTION(eaa_attention_any_160, 160, 1, 32, true)
