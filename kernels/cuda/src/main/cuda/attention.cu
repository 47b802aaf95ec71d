// Attention: out = softmax(scale Q K^T) V, per batch row and head; optionally causal (row i sees keys 0..i).
//
// Layout   q, out [B, L, H, D], k, v [B, Lk, H, D] of 16-bit values, each with its own batch, row and head stride, so that the
//          three parts of one fused projection [B, L, 3, H, D] are read in place. float32 softmax and accumulation.
// Cost     4 B H L Lk D FLOPs (half if causal), 2 B H (2 L + 2 Lk) D bytes; bound by arithmetic. Each block reads all
//          keys and values of its head, which the L2 cache holds: ceil(L / 64 MT) times.
// Design   attention.cuh. Grid (ceil(L / 64 MT), H, B), 128 threads. MT = 2 tiles of 16 rows per warp halve the
//          shared-memory reads per product; head size 160 has registers for one only.
//          attention_40, _64, _80, _160 are exact; pointers and strides must be multiples of 16 bytes there.
//          attention_any_32, _96, _160 take any head size up to their own, padded with zeros in shared memory, and any
//          alignment: aligned rows still go by 16-byte copies, others value by value.
// Memory   Rows of one head are 2 D bytes: with D = 40 these are 80 bytes, which touch three 32-byte sectors (96 bytes),
//          and rows cut between two warps' requests touch one of theirs twice: 1.25 times the bytes at most. The rest of a
//          sector belongs to the neighbouring head, whose block finds it in the L2 cache.
#include "attention.cuh"

#define ATTENTION(name, D, MT, KEYS, PADDED)                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                            \
    name(const Operand q, const Operand k, const Operand v, const Operand out, int queries, int keys, int d,         \
         float scale_log2, int causal) {                                                                             \
        attend<D, MT, KEYS, PADDED, false>(q, k, v, out, nullptr, queries, keys, d, scale_log2, causal != 0);        \
    }

ATTENTION(attention_40, 40, 2, 64, false)
ATTENTION(attention_64, 64, 2, 32, false)
ATTENTION(attention_80, 80, 2, 32, false)
ATTENTION(attention_160, 160, 1, 32, false)
ATTENTION(attention_any_32, 32, 2, 64, true)
ATTENTION(attention_any_96, 96, 1, 64, true)
ATTENTION(attention_any_160, 160, 1, 32, true)
