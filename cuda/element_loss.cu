// Losses that look at one prediction and one target at a time, and their reductions: partial sums of fixed extent, then one block.
#include "orthrus.cuh"

const int PerBlock = 4096; // elements that a block adds up

struct LossArgs
{
    const float* x;
    const float* target;
    const float* dy; // backward: one per element, or one
    float* to;       // one per element, or a partial sum per block
    i64 count;
    i32 per_element, vector;
    float divisor;   // backward of the mean: elements
};

struct Squared
{
    DEVICE float loss(float x, float target)
    {
        float e = x - target;
        return e * e;
    }
    DEVICE float slope(float x, float target)
    {
        float e = x - target;
        return e + e;
    }
};

struct Logistic
{
    // Factored so that the exponential sees no positive number and nothing cancels.
    DEVICE float loss(float x, float target)
    {
        float tail = log1pf(expf(-fabsf(x)));
        return (x > 0.f ? x * (1.f - target) : -(x * target)) + tail;
    }
    DEVICE float slope(float x, float target)
    {
        // For x > 0 as (1 - target) - s(-x): exact where the target is 1 and s(x) would round to 1.
        float e = expf(-fabsf(x)), part = e / (1.f + e);
        return x > 0.f ? 1.f - target - part : part - target;
    }
};

template <class F> DEVICE float4 losses(float4 x, float4 t) { return make_float4(F::loss(x.x, t.x), F::loss(x.y, t.y), F::loss(x.z, t.z), F::loss(x.w, t.w)); }

template <class F> DEVICE void forward(const LossArgs& a)
{
    __shared__ float room[32];
    i64 begin = (i64)blockIdx.x * PerBlock, end = begin + PerBlock < a.count ? begin + PerBlock : a.count, quads = a.vector ? (end - begin) / 4 : 0;
    float sum = 0.f;
    for (i64 q = threadIdx.x; q < quads; q += blockDim.x)
    {
        i64 i = begin + 4 * q;
        float4 y = losses<F>(*(const float4*)(a.x + i), *(const float4*)(a.target + i));
        if (a.per_element) *(float4*)(a.to + i) = y;
        sum += (y.x + y.y) + (y.z + y.w);
    }
    for (i64 i = begin + 4 * quads + threadIdx.x; i < end; i += blockDim.x)
    {
        float y = F::loss(a.x[i], a.target[i]);
        if (a.per_element) a.to[i] = y;
        sum += y;
    }
    if (a.per_element) return;
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) a.to[blockIdx.x] = sum;
}

template <class F> DEVICE void backward(const LossArgs& a)
{
    i64 begin = (i64)blockIdx.x * PerBlock, end = begin + PerBlock < a.count ? begin + PerBlock : a.count, quads = a.vector ? (end - begin) / 4 : 0;
    float all = a.per_element ? 0.f : *a.dy / a.divisor;
    for (i64 q = threadIdx.x; q < quads; q += blockDim.x)
    {
        i64 i = begin + 4 * q;
        float4 x = *(const float4*)(a.x + i), t = *(const float4*)(a.target + i), by = make_float4(all, all, all, all);
        if (a.per_element) by = *(const float4*)(a.dy + i);
        *(float4*)(a.to + i) = make_float4(F::slope(x.x, t.x) * by.x, F::slope(x.y, t.y) * by.y, F::slope(x.z, t.z) * by.z, F::slope(x.w, t.w) * by.w);
    }
    for (i64 i = begin + 4 * quads + threadIdx.x; i < end; i += blockDim.x) a.to[i] = F::slope(a.x[i], a.target[i]) * (a.per_element ? a.dy[i] : all);
}

ORTHRUS_KERNEL mse_forward(const LossArgs a) { forward<Squared>(a); }
ORTHRUS_KERNEL mse_backward(const LossArgs a) { backward<Squared>(a); }
ORTHRUS_KERNEL bce_with_logits_forward(const LossArgs a) { forward<Logistic>(a); }
ORTHRUS_KERNEL bce_with_logits_backward(const LossArgs a) { backward<Logistic>(a); }

struct TotalArgs
{
    const float* partial;
    float* to;
    i32 blocks;
    float divisor;
};

// One block.
ORTHRUS_KERNEL element_loss_total(const TotalArgs a)
{
    __shared__ float room[32];
    float sum = 0.f;
    for (int b = threadIdx.x; b < a.blocks; b += blockDim.x) sum += a.partial[b];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) *a.to = sum / a.divisor;
}
