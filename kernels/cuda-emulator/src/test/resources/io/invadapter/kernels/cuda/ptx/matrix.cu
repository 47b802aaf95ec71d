// C = A B with cp.async double buffering, ldmatrix and mma; A [m][k] and B [k][n] row-major, k and n multiples of 16 and 64.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ void copy16(void* to, const void* from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes));
}

template <bool BFLOAT>
__device__ void gemm(const unsigned short* a, const unsigned short* b, float* c, int m, int n, int k) {
    __shared__ __align__(16) unsigned short as[2][64][24];
    __shared__ __align__(16) unsigned short bs[2][16][72];
    int t = threadIdx.x, warp = t / 32, lane = t % 32;
    int row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
    float acc[8][4] = {};
    auto load = [&](int stage, int k0) {
        int r = t / 2, q = (t % 2) * 8;
        int valid = row0 + r < m ? 16 : 0;
        copy16(&as[stage][r][q], valid ? &a[(size_t)(row0 + r) * k + k0 + q] : a, valid);
        copy16(&bs[stage][t / 8][(t % 8) * 8], &b[(size_t)(k0 + t / 8) * n + col0 + (t % 8) * 8], 16);
        asm volatile("cp.async.commit_group;");
    };
    load(0, 0);
    int steps = k / 16;
#pragma unroll 1
    for (int s = 0; s < steps; s++) {
        if (s + 1 < steps) {
            load((s + 1) & 1, (s + 1) * 16);
            asm volatile("cp.async.wait_group 1;");
        } else {
            asm volatile("cp.async.wait_group 0;");
        }
        __syncthreads();
        unsigned af[4];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(af[0]), "=r"(af[1]), "=r"(af[2]), "=r"(af[3])
                     : "r"(shared_address(&as[s & 1][warp * 16 + lane % 16][lane / 16 * 8])));
        for (int j = 0; j < 8; j++) {
            unsigned bf[2];
            asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                         : "=r"(bf[0]), "=r"(bf[1])
                         : "r"(shared_address(&bs[s & 1][lane % 16][j * 8])));
            if (BFLOAT)
                asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                             : "+f"(acc[j][0]), "+f"(acc[j][1]), "+f"(acc[j][2]), "+f"(acc[j][3])
                             : "r"(af[0]), "r"(af[1]), "r"(af[2]), "r"(af[3]), "r"(bf[0]), "r"(bf[1]));
            else
                asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                             : "+f"(acc[j][0]), "+f"(acc[j][1]), "+f"(acc[j][2]), "+f"(acc[j][3])
                             : "r"(af[0]), "r"(af[1]), "r"(af[2]), "r"(af[3]), "r"(bf[0]), "r"(bf[1]));
        }
        __syncthreads();
    }
    for (int j = 0; j < 8; j++)
        for (int h = 0; h < 2; h++) {
            int r = row0 + warp * 16 + lane / 4 + 8 * h, q = col0 + j * 8 + lane % 4 * 2;
            if (r < m) *(float2*)&c[(size_t)r * n + q] = make_float2(acc[j][2 * h], acc[j][2 * h + 1]);
        }
}

extern "C" __global__ void __launch_bounds__(128) gemm_f16(const unsigned short* a, const unsigned short* b, float* c,
                                                           int m, int n, int k) {
    gemm<false>(a, b, c, m, n, k);
}

extern "C" __global__ void __launch_bounds__(128) gemm_bf16(const unsigned short* a, const unsigned short* b, float* c,
                                                            int m, int n, int k) {
    gemm<true>(a, b, c, m, n, k);
}

// One warp, one tile; fragments loaded one element at a time, as the layout tables of the PTX ISA give them.
extern "C" __global__ void tile_tf32(const float* a, const float* b, float* c) {
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned x[4], y[2];
    float d[4] = {};
    for (int i = 0; i < 4; i++)
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(x[i]) : "f"(a[(g + (i & 1) * 8) * 8 + t + (i >> 1) * 4]));
    for (int i = 0; i < 2; i++) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y[i]) : "f"(b[(t + i * 4) * 8 + g]));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    for (int i = 0; i < 4; i++) c[(g + (i >> 1) * 8) * 8 + t * 2 + (i & 1)] = d[i];
}

extern "C" __global__ void tile_bf16(const unsigned short* a, const unsigned short* b, float* c) {
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned x[2], y = b[(t * 2) * 8 + g] | b[(t * 2 + 1) * 8 + g] << 16;
    float d[4] = {0.5f, 0.5f, 0.5f, 0.5f};
    for (int i = 0; i < 2; i++) x[i] = *(const unsigned*)&a[(g + i * 8) * 8 + t * 2];
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(x[0]), "r"(x[1]), "r"(y));
    for (int i = 0; i < 4; i++) c[(g + (i >> 1) * 8) * 8 + t * 2 + (i & 1)] = d[i];
}
extern "C" __global__ void tile_f16(const half* a, const half* b, half* c) {
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    half2 x[2], y, d[2];
    for (int i = 0; i < 2; i++) x[i] = *(const half2*)&a[(g + i * 8) * 8 + t * 2];
    y = __halves2half2(b[(t * 2) * 8 + g], b[(t * 2 + 1) * 8 + g]);
    d[0] = d[1] = __float2half2_rn(0.5f);
    unsigned *xu = (unsigned*)x, *yu = (unsigned*)&y, *du = (unsigned*)d;
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3}, {%4}, {%0,%1};"
                 : "+r"(du[0]), "+r"(du[1]) : "r"(xu[0]), "r"(xu[1]), "r"(yu[0]));
    for (int i = 0; i < 2; i++) *(half2*)&c[(g + i * 8) * 8 + t * 2] = d[i];
}

extern "C" __global__ void transpose_in_registers(const unsigned* a, unsigned* out) {
    unsigned x = a[threadIdx.x], y;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
    out[threadIdx.x] = y;
}

// All forms of ldmatrix on four 8x8 matrices; out[form][register][lane].
extern "C" __global__ void matrices(const unsigned* a, unsigned* out) {
    __shared__ __align__(16) unsigned s[4 * 8 * 4];
    int lane = threadIdx.x;
    for (int i = lane; i < 128; i += 32) s[i] = a[i];
    __syncthreads();
    unsigned at = shared_address(&s[lane * 4]);
    unsigned r[14];
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[1]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[2]), "=r"(r[3]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[4]), "=r"(r[5]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[6]), "=r"(r[7]), "=r"(r[8]), "=r"(r[9]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[10]), "=r"(r[11]), "=r"(r[12]), "=r"(r[13]) : "r"(at));
    for (int i = 0; i < 14; i++) out[i * 32 + lane] = r[i];
}

// Copies of 4, 8 and 16 bytes; of the last, `valid` bytes are read and the rest is zero; then one that is ignored.
extern "C" __global__ void copies(const unsigned char* a, unsigned char* out, int valid) {
    __shared__ __align__(16) unsigned char s[64];
    unsigned at = shared_address(s);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(at), "l"(a + 4));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(at + 8), "l"(a + 8));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(at + 16), "l"(a + 16), "r"(valid));
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %2, -1; cp.async.cg.shared.global [%0], [%1], 16, p; }"
                 ::"r"(at + 32), "l"((const char*)0), "r"(valid));
    asm volatile("cp.async.wait_all;" ::: "memory");
    for (int i = 0; i < 48; i++)
        if (i < 4 || i >= 8) out[i] = s[i];
}
