// Log-sum-exp of rows with one column left out: a block per row. Each thread keeps the largest number of its own columns and the sum of exponentials relative
// to it, so that the row comes from memory once; backward reads it once more, from the cache.
#include "orthrus.cuh"

#define INFINITE __int_as_float(0x7f800000)

struct MaskedArgs
{
    const float* s;
    const float* dy; // backward only
    float* to;
    i64 columns;
    i32 offset, vector; // vector: rows begin at 16 bytes and are multiples of them
};

struct Softmax { float largest, sum; };

DEVICE Softmax row_softmax(const MaskedArgs& a, const float* s, i64 masked, float* room)
{
    Softmax t = { -INFINITE, 0.f };
    if (a.vector)
    {
        for (i64 q = threadIdx.x; q < a.columns >> 2; q += blockDim.x)
        {
            float4 x = ((const float4*)s)[q];
            if (masked >> 2 == q)
            {
                int c = (int)masked & 3;
                if (c == 0) x.x = -INFINITE;
                if (c == 1) x.y = -INFINITE;
                if (c == 2) x.z = -INFINITE;
                if (c == 3) x.w = -INFINITE;
            }
            float top = fmaxf(fmaxf(t.largest, fmaxf(x.x, x.y)), fmaxf(x.z, x.w)), from = top == -INFINITE ? 0.f : top;
            t.sum = t.sum * expf(t.largest - from) + ((expf(x.x - from) + expf(x.y - from)) + (expf(x.z - from) + expf(x.w - from)));
            t.largest = top;
        }
    }
    else
    {
        for (i64 j = threadIdx.x; j < a.columns; j += blockDim.x)
        {
            if (j == masked) continue;
            float x = s[j], top = fmaxf(t.largest, x), from = top == -INFINITE ? 0.f : top;
            t.sum = t.sum * expf(t.largest - from) + expf(x - from);
            t.largest = top;
        }
    }
    float top = warp_max(t.largest);
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = top;
    __syncthreads();
    top = warp_max((threadIdx.x & 31) < (blockDim.x >> 5) ? room[threadIdx.x & 31] : -INFINITE);
    // A row of -infinity alone gives NaN, as its definition does.
    return { top, block_sum(t.sum * expf(t.largest - top), room) };
}

ORTHRUS_KERNEL masked_log_sum_exp_forward(const MaskedArgs a)
{
    __shared__ float room[32];
    i64 row = blockIdx.x;
    Softmax t = row_softmax(a, a.s + row * a.columns, a.offset + row, room);
    if (threadIdx.x == 0) a.to[row] = t.largest + logf(t.sum);
}

// ds = dy softmax(s), from the row itself: exp(s - y) would carry the rounding of a large y.
ORTHRUS_KERNEL masked_log_sum_exp_backward(const MaskedArgs a)
{
    __shared__ float room[32];
    i64 row = blockIdx.x, masked = a.offset + row;
    const float* s = a.s + row * a.columns;
    float* ds = a.to + row * a.columns;
    Softmax t = row_softmax(a, s, masked, room);
    float by = a.dy[row] / t.sum;
    if (a.vector)
    {
        for (i64 q = threadIdx.x; q < a.columns >> 2; q += blockDim.x)
        {
            float4 x = ((const float4*)s)[q];
            x = make_float4(expf(x.x - t.largest) * by, expf(x.y - t.largest) * by, expf(x.z - t.largest) * by, expf(x.w - t.largest) * by);
            if (masked >> 2 == q)
            {
                int c = (int)masked & 3;
                if (c == 0) x.x = 0.f;
                if (c == 1) x.y = 0.f;
                if (c == 2) x.z = 0.f;
                if (c == 3) x.w = 0.f;
            }
            ((float4*)ds)[q] = x;
        }
        return;
    }
    for (i64 j = threadIdx.x; j < a.columns; j += blockDim.x) ds[j] = j == masked ? 0.f : expf(s[j] - t.largest) * by;
}
