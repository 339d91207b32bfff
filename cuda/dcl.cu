// Decoupled contrastive loss: what is left after the similarities (similarity.cu), a few numbers per row.
#include "similarity.cuh"

// Sums over the anchors, per block of dcl_rows.
const int SumLoss = 0, SumPositive = 1, SumNearest = 2, SumAll = 4, SumOthers = 6, Sums = 8;

struct DclArgs
{
    const float* partial;
    const float* own;    // (4, n)
    const float* weight; // or null
    float* loss_01;
    float* loss_10;
    float* log_sum_exp; // (4, n)
    float* sums;        // (blocks, Sums)
    float* loss;
    float* metrics;
    i32 n, m, splits, blocks, joint;
    float tau;
};

DEVICE float negatives(bool joint, float a, float b)
{
    if (!joint) return a + b;
    float larger = fmaxf(a, b);
    return larger + logf(expf(a - larger) + expf(b - larger));
}

// A thread per anchor: both directions' losses; a block adds up what the total and the metrics need.
ORTHRUS_KERNEL dcl_rows(const DclArgs a)
{
    __shared__ float room[32];
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    i64 n = a.n;
    float sums[Sums] = { };
    if (row < a.n)
    {
        float w = a.weight ? a.weight[row] : 1.f;
        #pragma unroll
        for (int direction = 0; direction < 2; direction++)
        {
            int same = 2 * direction, across = same + 1;
            float own_same = a.own[same * n + row], own_across = a.own[across * n + row];
            Row aa = gather(a.partial, a.splits, 4, same, n, row, own_same), ab = gather(a.partial, a.splits, 4, across, n, row, own_across);
            a.log_sum_exp[same * n + row] = aa.log_sum_exp;
            a.log_sum_exp[across * n + row] = ab.log_sum_exp;
            float loss = negatives(a.joint, aa.log_sum_exp, ab.log_sum_exp) - w * own_across;
            (direction ? a.loss_10 : a.loss_01)[row] = loss;
            sums[SumLoss] += loss;
            if (direction == 0) sums[SumPositive] = own_across;
            sums[SumNearest + direction] = ab.nearest;
            sums[SumAll + direction] = aa.others + own_same;
            sums[SumOthers + direction] = ab.others;
        }
    }
    #pragma unroll
    for (int k = 0; k < Sums; k++)
    {
        float sum = block_sum(sums[k], room);
        if (threadIdx.x == 0) a.sums[blockIdx.x * Sums + k] = sum;
    }
}

// One block: loss and metrics.
ORTHRUS_KERNEL dcl_total(const DclArgs a)
{
    __shared__ float room[32];
    float sums[Sums];
    #pragma unroll
    for (int k = 0; k < Sums; k++)
    {
        float sum = 0.f;
        for (int b = threadIdx.x; b < a.blocks; b += blockDim.x) sum += a.sums[b * Sums + k];
        sums[k] = block_sum(sum, room);
    }
    if (threadIdx.x) return;
    float count = (float)a.n;
    *a.loss = sums[SumLoss] / (count + count);
    a.metrics[2] = sums[SumPositive] / count * a.tau;
    #pragma unroll
    for (int direction = 0; direction < 2; direction++)
    {
        a.metrics[direction] = sums[SumNearest + direction] / count;
        a.metrics[3 + direction] = 0.5f * a.tau * (sums[SumAll + direction] / (count * (float)a.m) + sums[SumOthers + direction] / (count * (float)(a.m - 1)));
    }
}

struct DclWeightArgs
{
    const float* log_sum_exp; // (4, n)
    const float* weight;      // or null
    const float* d_loss;      // or null
    const float* d_loss_01;   // or null
    const float* d_loss_10;   // or null
    float* to; // (7, n): softmaxes 00, 01, 11, 10; the pair in direction 01, in 10, in both
    i32 n, joint;
    float scale;
};

ORTHRUS_KERNEL dcl_weights(const DclWeightArgs a)
{
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= a.n) return;
    i64 n = a.n;
    float count = (float)a.n, both = 0.f, shared = a.d_loss ? *a.d_loss / (count + count) : 0.f, w = a.weight ? a.weight[row] : 1.f;
    #pragma unroll
    for (int direction = 0; direction < 2; direction++)
    {
        const float* given = direction ? a.d_loss_10 : a.d_loss_01;
        float g = (given ? shared + given[row] : shared) * a.scale, same = g, across = g;
        if (a.joint)
        {
            float apart = a.log_sum_exp[(2 * direction + 1) * n + row] - a.log_sum_exp[2 * direction * n + row];
            same = g / (1.f + expf(apart));
            across = g / (1.f + expf(-apart));
        }
        a.to[2 * direction * n + row] = same;
        a.to[(2 * direction + 1) * n + row] = across;
        float pair = -(w * g);
        a.to[(4 + direction) * n + row] = pair;
        both += pair;
    }
    a.to[6 * n + row] = both;
}
