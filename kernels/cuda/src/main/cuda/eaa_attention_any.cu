// eaa_attention.cu for any head size up to 160 and any alignment, as attention_any.cu does attention.cu.
#include "attention.cuh"

//           name, D, WARPS, MT, KEYS, BLOCKS, PADDED
EAA_ATTENTION(eaa_attention_any_32, 32, 4, 2, 64, 2, true)
EAA_ATTENTION(eaa_attention_any_96, 96, 4, 1, 64, 2, true)
EAA_ATTENTION(eaa_attention_any_160, 160, 4, 1, 32, 2, true)
