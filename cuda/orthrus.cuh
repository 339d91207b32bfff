// The one header of all kernels. NVRTC brings none of its own (no cuda_fp16.h), so numbers of 16 bits and what the hardware offers beyond C++ are spelt here.
//
// Each .cu is compiled once per variant: activations are float, or with ORTHRUS_BF16 bfloat16 (from compute 80). State, norms, losses and parameters are
// float in both. Kernels are extern "C" and take one struct by value, whose twin in C# has the same fields in the same order. Sums have a fixed order:
// no float atomics anywhere.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

#define ORTHRUS_KERNEL extern "C" __global__ void
#define DEVICE static __device__ __forceinline__

// ---- Activations ----------------------------------------------------------------------------------------------------------------------------------------

struct bf16 { u16 bits; };

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

#if __CUDA_ARCH__ >= 800
// Nearest, ties to even; NaN stays NaN.
DEVICE bf16 to_bf16(float x)
{
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

// Two at once: low in bits 0 to 15.
DEVICE u32 to_bf16x2(float low, float high)
{
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
#endif

DEVICE float low_bf16(u32 pair) { return __uint_as_float(pair << 16); }
DEVICE float high_bf16(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

#ifdef ORTHRUS_BF16
typedef bf16 act;
DEVICE act to_act(float x) { return to_bf16(x); }
#else
typedef float act;
DEVICE act to_act(float x) { return x; }
#endif

// ---- Elements ------------------------------------------------------------------------------------------------------------------------------------------

// Four neighbours in one access; the address is a multiple of their size.
DEVICE float4 load4(const float* p) { return *(const float4*)p; }
DEVICE float4 load4(const bf16* p)
{
    uint2 v = *(const uint2*)p;
    return make_float4(low_bf16(v.x), high_bf16(v.x), low_bf16(v.y), high_bf16(v.y));
}
DEVICE void store4(float* p, float4 v) { *(float4*)p = v; }
#if __CUDA_ARCH__ >= 800
DEVICE void store4(bf16* p, float4 v) { *(uint2*)p = make_uint2(to_bf16x2(v.x, v.y), to_bf16x2(v.z, v.w)); }
#endif

template <class F> DEVICE float4 zip4(float4 a, float4 b, F f) { return make_float4(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)); }

// Whether fours can be read at an address of T, or at several joined by |.
template <class T> DEVICE bool fours(u64 addresses) { return (addresses & (4 * sizeof(T) - 1)) == 0; }

// The elements of a block of 256 threads, 1,024 of a row of count: four(i) for fours from i on, else one(i) for each, neighbouring lanes on neighbours.
template <class Four, class One> DEVICE void elements(i64 count, bool in_fours, Four four, One one)
{
    i64 first = (i64)blockIdx.x * 1024;
    if (in_fours && first + 1024 <= count) four(first + 4 * threadIdx.x);
    else
        for (i64 i = first + threadIdx.x; i < min(count, first + 1024); i += 256) one(i);
}

// ---- Functions ------------------------------------------------------------------------------------------------------------------------------------------

const float Log2E = 1.4426950408889634f, Ln2 = 0.6931471805599453f;

// 2^x, relative error 2^-22; subnormal results are 0.
DEVICE float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// 1 / (1 + exp(-x)) without overflow.
DEVICE float sigmoid(float x)
{
    float e = expf(-fabsf(x));
    return (x >= 0.f ? 1.f : e) / (1.f + e);
}

// sigmoid(x), and sigmoid(-x) as complement, which keeps its digits where the sigmoid is near 1. For results of 8 bits the hardware's functions do
// (2^-22 and |x| 2^-24 relative); a large negative x gives a small sigmoid, not 0.
DEVICE float sigmoid(float x, float& complement)
{
#ifdef ORTHRUS_BF16
    float e, by;
    asm("ex2.approx.f32 %0, %1;" : "=f"(e) : "f"(fabsf(x) * -Log2E));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(by) : "f"(1.f + e));
#else
    float e = expf(-fabsf(x)), by = 1.f / (1.f + e);
#endif
    complement = x >= 0.f ? e * by : by;
    return x >= 0.f ? by : e * by;
}

// log(1 + exp(x)), the identity above 20 as in PyTorch.
DEVICE float softplus(float x) { return x > 20.f ? x : fmaxf(x, 0.f) + log1pf(expf(-fabsf(x))); }

// ---- Sums of fixed order --------------------------------------------------------------------------------------------------------------------------------

// Sum over the warp, the same bits in every lane.
DEVICE float warp_sum(float x)
{
    #pragma unroll
    for (int d = 16; d > 0; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

DEVICE float warp_max(float x)
{
    #pragma unroll
    for (int d = 16; d > 0; d >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
    return x;
}

// Sum over the block, the same bits in every thread. Needs room for 32 floats in shared memory and whole warps; begins and ends with a barrier.
DEVICE float block_sum(float x, float* room)
{
    x = warp_sum(x);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = x;
    __syncthreads();
    x = (threadIdx.x & 31) < (blockDim.x >> 5) ? room[threadIdx.x & 31] : 0.f;
    x = warp_sum(x);
    __syncthreads();
    return x;
}

// Sums over the warps of a block, of N numbers per lane: warp 0 is left with them. Any power of two of warps; room holds half as many rows of 32 N floats.
// A barrier stands in front of each access to room but the first.
template <int N> DEVICE void fold_warps(float (&x)[N], float* room)
{
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    for (int half = blockDim.x >> 6; half > 0; half >>= 1)
    {
        if (warp >= half && warp < 2 * half)
        {
            #pragma unroll
            for (int i = 0; i < N; i++) room[((warp - half) * N + i) * 32 + lane] = x[i];
        }
        __syncthreads();
        if (warp < half)
        {
            #pragma unroll
            for (int i = 0; i < N; i++) x[i] += room[(warp * N + i) * 32 + lane];
        }
        __syncthreads();
    }
}

// ---- Vectors --------------------------------------------------------------------------------------------------------------------------------------------

// V numbers side by side as they lie in memory: one access. Its address must be a multiple of its size.
template <class T, int V> struct Raw;
template <> struct Raw<float, 1> { float x; };
template <> struct Raw<float, 4> { float4 x; };
template <> struct Raw<bf16, 1> { u16 x; };
template <> struct Raw<bf16, 4> { uint2 x; };
template <> struct Raw<bf16, 8> { uint4 x; };

template <int V, class T> DEVICE Raw<T, V> fetch(const T* p) { return {*(const decltype(Raw<T, V>::x)*)p}; }

DEVICE void unpack(Raw<float, 1> r, float (&x)[1]) { x[0] = r.x; }
DEVICE void unpack(Raw<float, 4> r, float (&x)[4]) { x[0] = r.x.x; x[1] = r.x.y; x[2] = r.x.z; x[3] = r.x.w; }
DEVICE void unpack(Raw<bf16, 1> r, float (&x)[1]) { x[0] = low_bf16(r.x); }
DEVICE void unpack(Raw<bf16, 4> r, float (&x)[4]) { x[0] = low_bf16(r.x.x); x[1] = high_bf16(r.x.x); x[2] = low_bf16(r.x.y); x[3] = high_bf16(r.x.y); }
DEVICE void unpack(Raw<bf16, 8> r, float (&x)[8])
{
    x[0] = low_bf16(r.x.x); x[1] = high_bf16(r.x.x); x[2] = low_bf16(r.x.y); x[3] = high_bf16(r.x.y);
    x[4] = low_bf16(r.x.z); x[5] = high_bf16(r.x.z); x[6] = low_bf16(r.x.w); x[7] = high_bf16(r.x.w);
}

template <int V, class T> DEVICE void load(const T* p, float (&x)[V]) { unpack(fetch<V>(p), x); }

DEVICE void store(float* p, const float (&x)[1]) { *p = x[0]; }
DEVICE void store(float* p, const float (&x)[4]) { *(float4*)p = make_float4(x[0], x[1], x[2], x[3]); }
#if __CUDA_ARCH__ >= 800
DEVICE void store(bf16* p, const float (&x)[1]) { *p = to_bf16(x[0]); }
DEVICE void store(bf16* p, const float (&x)[4]) { *(uint2*)p = make_uint2(to_bf16x2(x[0], x[1]), to_bf16x2(x[2], x[3])); }
DEVICE void store(bf16* p, const float (&x)[8])
{
    *(uint4*)p = make_uint4(to_bf16x2(x[0], x[1]), to_bf16x2(x[2], x[3]), to_bf16x2(x[4], x[5]), to_bf16x2(x[6], x[7]));
}
#endif
