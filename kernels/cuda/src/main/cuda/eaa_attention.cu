// Embedded attention adapter (equations 2 to 5 of arXiv 2406.02881), two sources of keys and values in one launch:
//
//   out = softmax(scale Q K^T) V + lambda softmax(scale Q K'^T) V'
//
// with two softmaxes, each normalised by itself. K, V: the layer's own (self attention) or the prompt's (cross
// attention); K', V': the identity's, one set for any number of batch rows, or of whatever else is looked at.
//
// Layout   as attention.cu; k', v' [I, Lk', H, D] with their own strides. rows[b] (int32) is the row of k' and v' that batch row b
//          looks at, b itself without rows; scales[b] (float32) its lambda, 1 without scales. Where lambda is 0 the second source
//          costs nothing and rows[b] is not read: the result is attention's, bit for bit.
//          Lk = 0: the first source's part is what out holds already, out += lambda softmax(...) V'. That is how a third source
//          and those after it are added, one launch each.
//          Lk = -1: there is no first source, out = lambda softmax(...) V'.
// Cost     4 B H L (Lk + Lk') D FLOPs, 2 B H (2 L + 2 Lk) D + 4 I H Lk' D bytes; bound by arithmetic. Beside two calls
//          of attention and an addition it saves reading Q twice, writing and reading two results, and two launches.
// Design   attention.cuh. Grid, blocks and the kernels called _few: attention.cu.
#include "attention.cuh"

//           name, D, WARPS, MT, KEYS, BLOCKS, PADDED
EAA_ATTENTION(eaa_attention_40, 40, 4, 2, 64, 2, false)
EAA_ATTENTION(eaa_attention_64, 64, 4, 2, 32, 2, false)
EAA_ATTENTION(eaa_attention_80, 80, 4, 2, 32, 2, false)
EAA_ATTENTION(eaa_attention_160, 160, 4, 1, 32, 2, false)
EAA_ATTENTION(eaa_attention_40_few, 40, 4, 1, 64, 4, false)
EAA_ATTENTION(eaa_attention_64_few, 64, 4, 1, 32, 4, false)
EAA_ATTENTION(eaa_attention_80_few, 80, 4, 1, 32, 3, false)
EAA_ATTENTION(eaa_attention_160_few, 160, 2, 1, 32, 4, false)
