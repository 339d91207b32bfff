// Updates of many tensors at once: optimiser step, clipping of gradients. One launch takes up to 88 tensors, whose addresses are in its argument; a block
// takes 4,096 elements of one of them.
#include "orthrus.cuh"

const int Capacity = 88, Chunk = 4096, Threads = 256;

struct Lists
{
    float* at[4 * Capacity]; // tensor k of list j at j Capacity + k
    i64 count[Capacity];
    i32 first[Capacity];     // first block of each tensor, ascending
    i32 tensors;
};

// The block's part of one tensor: f.four(i), f.one(i) with i from the tensor's beginning.
template <class Four, class One> DEVICE void chunk(const Lists& lists, int used, Four four, One one)
{
    int k = 0, above = lists.tensors;
    while (above - k > 1)
    {
        int middle = (k + above) / 2;
        if (lists.first[middle] <= (int)blockIdx.x) k = middle;
        else above = middle;
    }
    u64 addresses = 0;
    for (int j = 0; j < used; j++) addresses |= (u64)lists.at[j * Capacity + k];
    i64 from = (i64)((int)blockIdx.x - lists.first[k]) * Chunk;
    int n = (int)min((i64)Chunk, lists.count[k] - from);
    if (fours<float>(addresses) && n == Chunk)
    {
        #pragma unroll
        for (int i = 0; i < Chunk; i += 4 * Threads) four(k, from + i + 4 * threadIdx.x);
    }
    else
        for (int i = threadIdx.x; i < n; i += Threads) one(k, from + i);
}

// ---- AdamW ----------------------------------------------------------------------------------------------------------------------------------------------

struct AdamWArgs
{
    Lists lists; // parameter, gradient, mean, square
    float keep, decay, beta1, beta2, new1, new2, rate, unroot, eps;
};

DEVICE void step(const AdamWArgs& a, float& p, float g, float& m, float& v)
{
    p *= a.keep;
    if (a.decay != 0.f) g = fmaf(a.decay, p, g);
    m = fmaf(a.beta1, m, a.new1 * g);
    v = fmaf(a.beta2, v, a.new2 * g * g);
    p -= a.rate * m / fmaf(sqrtf(v), a.unroot, a.eps);
}

ORTHRUS_KERNEL adamw(const AdamWArgs a)
{
    auto list = [&](int j, int k) { return a.lists.at[j * Capacity + k]; };
    chunk(a.lists, 4,
        [&](int k, i64 i)
        {
            float4 p = load4(list(0, k) + i), g = load4(list(1, k) + i), m = load4(list(2, k) + i), v = load4(list(3, k) + i);
            step(a, p.x, g.x, m.x, v.x);
            step(a, p.y, g.y, m.y, v.y);
            step(a, p.z, g.z, m.z, v.z);
            step(a, p.w, g.w, m.w, v.w);
            store4(list(0, k) + i, p);
            store4(list(2, k) + i, m);
            store4(list(3, k) + i, v);
        },
        [&](int k, i64 i) { step(a, list(0, k)[i], list(1, k)[i], list(2, k)[i], list(3, k)[i]); });
}

// ---- Clipping by norm -----------------------------------------------------------------------------------------------------------------------------------

struct ClipNormArgs
{
    Lists lists;
    double* squares; // one sum per block of all launches
    float *norm, *factor;
    double limit;
    i32 first;       // squares of earlier launches
    i32 blocks;      // squares of all launches
};

// Sum over the block in double precision, in thread 0.
DEVICE double block_sum_double(double x)
{
    __shared__ double room[32];
    #pragma unroll
    for (int d = 16; d > 0; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = x;
    __syncthreads();
    if (threadIdx.x >= 32) return x;
    x = threadIdx.x < (blockDim.x >> 5) ? room[threadIdx.x] : 0;
    #pragma unroll
    for (int d = 16; d > 0; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

ORTHRUS_KERNEL clip_norm_squares(const ClipNormArgs a)
{
    double sum = 0;
    auto add = [&](float g) { sum += (double)g * g; };
    chunk(a.lists, 1,
        [&](int k, i64 i)
        {
            float4 g = load4(a.lists.at[k] + i);
            add(g.x);
            add(g.y);
            add(g.z);
            add(g.w);
        },
        [&](int k, i64 i) { add(a.lists.at[k][i]); });
    sum = block_sum_double(sum);
    if (threadIdx.x == 0) a.squares[a.first + blockIdx.x] = sum;
}

// One block: the norm, and the factor that brings it to the limit, 1 where it is below.
ORTHRUS_KERNEL clip_norm_finish(const ClipNormArgs a)
{
    double sum = 0;
    for (int i = threadIdx.x; i < a.blocks; i += blockDim.x) sum += a.squares[i];
    sum = block_sum_double(sum);
    if (threadIdx.x != 0) return;
    double norm = sqrt(sum), reached = norm + 1e-6;
    *a.norm = (float)norm;
    *a.factor = reached <= a.limit ? 1.f : (float)(a.limit / reached);
}

ORTHRUS_KERNEL clip_norm_scale(const ClipNormArgs a)
{
    float factor = *a.factor;
    if (factor == 1.f) return;
    chunk(a.lists, 1,
        [&](int k, i64 i)
        {
            float4 g = load4(a.lists.at[k] + i);
            store4(a.lists.at[k] + i, make_float4(g.x * factor, g.y * factor, g.z * factor, g.w * factor));
        },
        [&](int k, i64 i) { a.lists.at[k][i] *= factor; });
}

// ---- Clipping by value ----------------------------------------------------------------------------------------------------------------------------------

struct ClipValueArgs
{
    Lists lists;
    float limit;
};

ORTHRUS_KERNEL clip_value(const ClipValueArgs a)
{
    // By comparison: fminf and fmaxf would turn NaN into the limit.
    auto f = [&](float g) { return g > a.limit ? a.limit : g < -a.limit ? -a.limit : g; };
    chunk(a.lists, 1,
        [&](int k, i64 i)
        {
            float4 g = load4(a.lists.at[k] + i);
            store4(a.lists.at[k] + i, make_float4(f(g.x), f(g.y), f(g.z), f(g.w)));
        },
        [&](int k, i64 i) { a.lists.at[k][i] = f(a.lists.at[k][i]); });
}
