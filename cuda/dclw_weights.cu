// Weights of pairs by similarity: products of pairs, a warp each, then one block for the softmax over all.
#include "orthrus.cuh"

#define INFINITE __int_as_float(0x7f800000)

struct WeightArgs
{
    const float* z0;
    const float* z1;
    float* to;
    i32 n, width, vector;
    float scale;
};

ORTHRUS_KERNEL dclw_similarities(const WeightArgs a)
{
    i64 row = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= a.n) return;
    const float* x = a.z0 + row * a.width;
    const float* y = a.z1 + row * a.width;
    float sum = 0.f;
    if (a.vector)
        for (int i = threadIdx.x & 31; i < a.width >> 2; i += 32)
        {
            float4 u = ((const float4*)x)[i], v = ((const float4*)y)[i];
            sum += fmaf(u.x, v.x, fmaf(u.y, v.y, fmaf(u.z, v.z, u.w * v.w)));
        }
    else
        for (int i = threadIdx.x & 31; i < a.width; i += 32) sum = fmaf(x[i], y[i], sum);
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) a.to[row] = sum * a.scale;
}

// In place, one block: w = 2 - n softmax(s).
ORTHRUS_KERNEL dclw_weights(const WeightArgs a)
{
    __shared__ float room[32];
    float largest = -INFINITE, sum = 0.f;
    for (int i = threadIdx.x; i < a.n; i += blockDim.x) largest = fmaxf(largest, a.to[i]);
    largest = warp_max(largest);
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = largest;
    __syncthreads();
    largest = warp_max((threadIdx.x & 31) < (blockDim.x >> 5) ? room[threadIdx.x & 31] : -INFINITE);
    for (int i = threadIdx.x; i < a.n; i += blockDim.x) sum += expf(a.to[i] - largest);
    sum = block_sum(sum, room);
    for (int i = threadIdx.x; i < a.n; i += blockDim.x) a.to[i] = 2.f - (float)a.n * expf(a.to[i] - largest) / sum;
}
