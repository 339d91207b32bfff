// Similarities of all anchors with all keys, s(i, j) = x_i . y_j / tau, and what the contrastive losses take from them: per row the log-sum-exp and, for
// dcl, its metrics; backward the gradients. The similarities exist a tile at a time, in registers: 64 rows against 128 columns, 8 x 8 per thread. Memory
// holds a few numbers per row and split of the columns, and backward per split one partial gradient.
#include "similarity.cuh"

struct ForwardArgs
{
    const float* anchors0;
    const float* anchors1;
    const float* keys0;
    const float* keys1;
    float* partial; // (splits, pairs, Statistics, n)
    float* own;     // (pairs, n)
    i32 n, m, width, offset, splits, vector;
    float scale;
};

// Adds a row's 8 similarities; those left out are -infinity.
DEVICE void accumulate(const float (&s)[8], float& largest, float& sum)
{
    float top = largest;
    #pragma unroll
    for (int j = 0; j < 8; j++) top = fmaxf(top, s[j]);
    // Products of their own: what has not changed must cancel exactly.
    float shift = top == -INFINITE ? 0.f : __fmul_rn(top, Log2E);
    float added = 0.f;
    #pragma unroll
    for (int j = 0; j < 8; j++) added += exp2_fast(fmaf(s[j], Log2E, -shift));
    sum = fmaf(sum, exp2_fast(__fadd_rn(__fmul_rn(largest, Log2E), -shift)), added);
    largest = top;
}

// Pairs of views 00, 01, 11, 10 along y, splits of the columns along z. A thread keeps the statistics of its own columns; they meet at the end.
extern "C" __global__ void __launch_bounds__(Threads, __CUDA_ARCH__ >= 800 ? 3 : 2) similarity_forward(const ForwardArgs a)
{
    __shared__ float4 stages[2][StageQuads];
    __shared__ float before[2][Rows];
    __shared__ float halves[3][Rows];
    int pair = blockIdx.y, split = blockIdx.z, first = blockIdx.x * Rows, ty = thread_row(), tx = thread_column(), warp_half = threadIdx.x >> 5 & 1;
    const float* anchors = pair < 2 ? a.anchors0 : a.anchors1;
    const float* keys = pair == 0 || pair == 3 ? a.keys0 : a.keys1;
    int tiles = (a.m + Columns - 1) / Columns, begin = (int)((i64)tiles * split / a.splits), end = (int)((i64)tiles * (split + 1) / a.splits);
    int steps = depth_steps(a.width);

    float largest[8], sum[8], others[8];
    #pragma unroll
    for (int i = 0; i < 8; i++)
    {
        largest[i] = -INFINITE;
        sum[i] = others[i] = 0.f;
    }
    Tile t = { anchors + (i64)first * a.width, keys + (i64)begin * Columns * a.width, a.n - first, a.m - begin * Columns, a.width, a.vector != 0 };
    int stage = 0;
    fetch_sides(stages[0], t, 0);
    for (int tile = begin; tile < end; tile++)
    {
        int column = tile * Columns;
        float s[8][8];
        clear(s);
        for (int step = 0; step < steps; step++)
        {
            arrive();
            bool last = step == steps - 1;
            if (last)
            {
                t.columns += (i64)Columns * a.width;
                t.column_count -= Columns;
            }
            if (!last || tile + 1 < end) fetch_sides(stages[stage ^ 1], t, last ? 0 : 16 * (step + 1));
            multiply(s, stages[stage]);
            stage ^= 1;
        }
        #pragma unroll
        for (int i = 0; i < 8; i++)
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] *= a.scale;
        bool has_own = first + a.offset < column + Columns && first + a.offset + Rows > column;
        if (has_own || column + Columns > a.m)
        {
            #pragma unroll
            for (int i = 0; i < 8; i++)
            {
                int row = first + ty + 8 * i, own = row + a.offset;
                float lower = largest[i], total = others[i];
                #pragma unroll
                for (int j = 0; j < 8; j++)
                {
                    int c = column + tx + 16 * j;
                    if (c == own && row < a.n) a.own[(i64)pair * a.n + row] = s[i][j];
                    if (c < own) lower = fmaxf(lower, s[i][j]);
                    bool counts = c != own && c < a.m;
                    total += counts ? s[i][j] : 0.f;
                    if (!counts) s[i][j] = -INFINITE;
                }
                others[i] = total;
                #pragma unroll
                for (int d = 1; d < 8; d <<= 1) lower = fmaxf(lower, __shfl_xor_sync(0xffffffffu, lower, d));
                // The own column lies in one tile alone.
                if ((threadIdx.x & 7) == 0 && own >= column && own < column + Columns) before[warp_half][ty + 8 * i] = lower;
                accumulate(s[i], largest[i], sum[i]);
            }
        }
        else
        {
            #pragma unroll
            for (int i = 0; i < 8; i++)
            {
                others[i] += ((s[i][0] + s[i][1]) + (s[i][2] + s[i][3])) + ((s[i][4] + s[i][5]) + (s[i][6] + s[i][7]));
                accumulate(s[i], largest[i], sum[i]);
            }
        }
    }
    #pragma unroll
    for (int i = 0; i < 8; i++)
    {
        float top = largest[i];
        #pragma unroll
        for (int d = 1; d < 8; d <<= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, d));
        float shift = top == -INFINITE ? 0.f : __fmul_rn(top, Log2E);
        float all = sum[i] * exp2_fast(__fadd_rn(__fmul_rn(largest[i], Log2E), -shift)), total = others[i];
        #pragma unroll
        for (int d = 1; d < 8; d <<= 1)
        {
            all += __shfl_xor_sync(0xffffffffu, all, d);
            total += __shfl_xor_sync(0xffffffffu, total, d);
        }
        largest[i] = top;
        sum[i] = all;
        others[i] = total;
    }
    bool speaks = (threadIdx.x & 7) == 0;
    if (speaks && warp_half == 1)
    {
        #pragma unroll
        for (int i = 0; i < 8; i++)
        {
            halves[0][ty + 8 * i] = largest[i];
            halves[1][ty + 8 * i] = sum[i];
            halves[2][ty + 8 * i] = others[i];
        }
    }
    __syncthreads();
    if (!speaks || warp_half == 1) return;
    float* to = a.partial + ((i64)split * gridDim.y + pair) * Statistics * a.n;
    #pragma unroll
    for (int i = 0; i < 8; i++)
    {
        int r = ty + 8 * i, row = first + r, own = row + a.offset;
        if (row >= a.n) continue;
        float other = halves[0][r], top = fmaxf(largest[i], other), shift = top == -INFINITE ? 0.f : __fmul_rn(top, Log2E);
        float here = exp2_fast(__fadd_rn(__fmul_rn(largest[i], Log2E), -shift)), there = exp2_fast(__fadd_rn(__fmul_rn(other, Log2E), -shift));
        to[Largest * (i64)a.n + row] = top;
        to[Sum * (i64)a.n + row] = sum[i] * here + halves[1][r] * there;
        to[Others * (i64)a.n + row] = others[i] + halves[2][r];
        to[Before * (i64)a.n + row] = own < begin * Columns ? -INFINITE : own >= end * Columns ? top : fmaxf(before[0][r], before[1][r]);
    }
}

struct FinishArgs
{
    const float* partial;
    const float* own;
    const float* dy; // backward only
    float* to;
    i32 n, splits;
    float scale;
};

ORTHRUS_KERNEL similarity_finish(const FinishArgs a)
{
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < a.n) a.to[row] = gather(a.partial, a.splits, 1, 0, a.n, row, a.own[row]).log_sum_exp;
}

// Weight of each anchor's softmax, 1 / tau included.
ORTHRUS_KERNEL similarity_weights(const FinishArgs a)
{
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < a.n) a.to[row] = a.dy[row] * a.scale;
}
