// What is repainted of a picture, and beside it what is known of it
//
//   target = mask target + (1 - mask) other
//
// Layout   target, other [pictures, n], mask [pictures, n / channels], or [n / channels] for all pictures alike (mask_stride 0), all
//          float32 whatever the library's type. Where the mask is 0 or 1 the bits of one are taken: the other may hold anything.
// Cost     12 n bytes and the mask; n is 16384 per picture: a launch's latency.
// Design   Grid (ceil(n / 256), pictures). One value per thread.

extern "C" __global__ void __launch_bounds__(256)
blend(float* target, const float* other, const float* mask, int mask_stride, int channels, int n) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= n) {
        return;
    }
    float share = mask[static_cast<long long>(blockIdx.y) * mask_stride + i / channels];
    if (share == 1.0f) {
        return;
    }
    long long place = static_cast<long long>(blockIdx.y) * n + i;
    float known = other[place];
    target[place] = share == 0.0f ? known : share * target[place] + (1.0f - share) * known;
}
