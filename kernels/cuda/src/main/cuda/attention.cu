// Attention: out = softmax(scale Q K^T) V, per batch row and head; optionally causal (row i sees keys 0..i).
//
// Layout   q, out [B, L, H, D], k, v [B, Lk, H, D] of 16-bit values, each with its own batch, row and head stride, so that the
//          three parts of one fused projection [B, L, 3, H, D] are read in place. float32 softmax and accumulation.
//          Pointers and strides must be multiples of 16 bytes; attention_any.cu takes all others, and other head sizes.
// Cost     4 B H L Lk D FLOPs (half if causal), 2 B H (2 L + 2 Lk) D bytes; bound by arithmetic. Each block reads all
//          keys and values of its head, which the L2 cache holds: ceil(L / 16 WARPS MT) times.
// Design   attention.cuh. Grid (ceil(L / 16 WARPS MT), H, B), 32 WARPS threads. MT = 2 tiles of 16 rows per warp halve the
//          shared-memory reads per product; head size 160 has registers for one only.
//          The kernels called _few have half the rows per block, for grids that would leave multiprocessors idle, as at
//          L <= 1024: at L = 1024 with batch 2 twice 128 blocks instead of 128 on 108 or 132 multiprocessors, so that one
//          warp's softmax hides behind another's products. There MT is 1; head size 160 has half the warps. KEYS is
//          the same in both, and so is every bit of the result.
// Memory   Rows of one head are 2 D bytes: with D = 40 these are 80 bytes, which touch three 32-byte sectors (96 bytes),
//          and rows cut between two warps' requests touch one of theirs twice: 1.25 times the bytes at most. The rest of a
//          sector belongs to the neighbouring head, whose block finds it in the L2 cache.
#include "attention.cuh"

//           name, D, WARPS, MT, KEYS, BLOCKS, PADDED
ATTENTION(attention_40, 40, 4, 2, 64, 2, false)
ATTENTION(attention_64, 64, 4, 2, 32, 2, false)
ATTENTION(attention_80, 80, 4, 2, 32, 2, false)
ATTENTION(attention_160, 160, 4, 1, 32, 2, false)
ATTENTION(attention_40_few, 40, 4, 1, 64, 4, false)
ATTENTION(attention_64_few, 64, 4, 1, 32, 4, false)
ATTENTION(attention_80_few, 80, 4, 1, 32, 3, false)
ATTENTION(attention_160_few, 160, 2, 1, 32, 4, false)
