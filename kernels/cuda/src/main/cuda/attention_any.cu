// attention.cu for any head size up to 160 and any alignment: heads are padded with zeros in shared memory to the next of three
// sizes; rows aligned to 16 bytes still go by 16-byte copies, others value by value.
#include "attention.cuh"

//           name, D, WARPS, MT, KEYS, BLOCKS, PADDED
ATTENTION(attention_any_32, 32, 4, 2, 64, 2, true)
ATTENTION(attention_any_96, 96, 4, 1, 64, 2, true)
ATTENTION(attention_any_160, 160, 4, 1, 32, 2, true)
