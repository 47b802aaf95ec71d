// Four values at a time, where float32 and the library's type meet.
#pragma once

#include "common.cuh"

// True for null, so that absent operands do not count.
template <typename T>
__device__ inline bool aligned4(const T* pointer) {
    return (reinterpret_cast<uintptr_t>(pointer) & (4 * sizeof(T) - 1)) == 0;
}

__device__ inline float4 load_four(const float* source) { return *reinterpret_cast<const float4*>(source); }

__device__ inline void store_four(float* target, float4 value) { *reinterpret_cast<float4*>(target) = value; }

#ifndef FLOAT32
__device__ inline float4 load_four(const Value* source) {
    uint2 both = *reinterpret_cast<const uint2*>(source);
    float2 low = unpack(both.x);
    float2 high = unpack(both.y);
    return make_float4(low.x, low.y, high.x, high.y);
}

__device__ inline void store_four(Value* target, float4 value) {
    *reinterpret_cast<uint2*>(target) = make_uint2(pack(value.x, value.y), pack(value.z, value.w));
}
#endif
