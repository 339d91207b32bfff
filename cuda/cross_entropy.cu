// Cross-entropy against class indices. Up to 8 classes a thread takes a row (4 classes: one load of 16 bytes), more a warp. Ignored rows give 0; a label that
// is no class gives NaN, the only way in which a kernel can complain.
#include "orthrus.cuh"

const int RowsPerBlock = 1024, FewClasses = 8;

struct CrossEntropyArgs
{
    const float* x;
    const void* labels;
    const float* dy;  // backward: one per row, or one
    float* to;        // forward: one per row, or a partial sum per block; backward: the gradient
    i32* valid;       // rows that count, per block; forward without reduction and backward of anything but the mean: null
    i64 rows, ignore;
    i32 classes, label_bytes, per_row, vector, blocks;
};

DEVICE i64 label_of(const CrossEntropyArgs& a, i64 row)
{
    return a.label_bytes == 1 ? ((const u8*)a.labels)[row] : a.label_bytes == 4 ? ((const i32*)a.labels)[row] : ((const i64*)a.labels)[row];
}

// Sum over the block; exact.
DEVICE i32 block_count(i32 x, i32* room)
{
    #pragma unroll
    for (int d = 16; d > 0; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = x;
    __syncthreads();
    i32 sum = 0;
    for (int w = 0; w < (blockDim.x >> 5); w++) sum += room[w];
    return sum;
}

// Largest logit and sum of exponentials relative to it. One thread.
DEVICE void row_of_few(const CrossEntropyArgs& a, i64 row, float (&x)[FewClasses], float& largest, float& sum)
{
    const float* p = a.x + row * a.classes;
    if (a.vector && a.classes == 4)
    {
        float4 v = *(const float4*)p;
        x[0] = v.x;
        x[1] = v.y;
        x[2] = v.z;
        x[3] = v.w;
    }
    else
    {
        #pragma unroll
        for (int v = 0; v < FewClasses; v++) if (v < a.classes) x[v] = p[v];
    }
    largest = x[0];
    #pragma unroll
    for (int v = 1; v < FewClasses; v++) if (v < a.classes) largest = fmaxf(largest, x[v]);
    sum = 0.f;
    #pragma unroll
    for (int v = 0; v < FewClasses; v++) if (v < a.classes) sum += expf(x[v] - largest);
}

// The same by a warp, in every lane.
DEVICE void row_of_many(const float* x, int classes, float& largest, float& sum)
{
    int lane = threadIdx.x & 31;
    largest = x[lane < classes ? lane : 0];
    for (int v = lane + 32; v < classes; v += 32) largest = fmaxf(largest, x[v]);
    largest = warp_max(largest);
    sum = 0.f;
    for (int v = lane; v < classes; v += 32) sum += expf(x[v] - largest);
    sum = warp_sum(sum);
}

ORTHRUS_KERNEL cross_entropy_forward(const CrossEntropyArgs a)
{
    __shared__ float room[32];
    __shared__ i32 counts[32];
    bool few = a.classes <= FewClasses;
    int step = few ? blockDim.x : blockDim.x >> 5, first = few ? threadIdx.x : threadIdx.x >> 5;
    bool speaks = few || (threadIdx.x & 31) == 0;
    i64 begin = (i64)blockIdx.x * RowsPerBlock, end = begin + RowsPerBlock < a.rows ? begin + RowsPerBlock : a.rows;
    float total = 0.f;
    i32 valid = 0;
    for (i64 row = begin + first; row < end; row += step)
    {
        i64 label = label_of(a, row);
        float term = 0.f;
        if (label != a.ignore)
        {
            bool known = (u64)label < (u64)a.classes;
            float largest, sum;
            if (few)
            {
                float x[FewClasses];
                row_of_few(a, row, x, largest, sum);
            }
            else row_of_many(a.x + row * a.classes, a.classes, largest, sum);
            // Relative to the largest logit, which is then taken against the label's: neither overflows, and large logits cancel exactly.
            term = known ? logf(sum) + (largest - a.x[row * a.classes + label]) : __int_as_float(0x7fc00000);
            valid += speaks;
        }
        if (a.per_row && speaks) a.to[row] = term;
        total += speaks ? term : 0.f;
    }
    if (a.per_row) return;
    total = block_sum(total, room);
    valid = block_count(valid, counts);
    if (threadIdx.x) return;
    a.to[blockIdx.x] = total;
    a.valid[blockIdx.x] = valid;
}

struct CrossEntropyTotalArgs
{
    const float* partial;
    const i32* valid;
    float* to;
    i32 blocks, mean;
};

DEVICE i64 count_valid(const i32* valid, int blocks, i32* room)
{
    i32 count = 0;
    for (int b = threadIdx.x; b < blocks; b += blockDim.x) count += valid[b];
    return block_count(count, room);
}

// One block. A mean over no row is 0.
ORTHRUS_KERNEL cross_entropy_total(const CrossEntropyTotalArgs a)
{
    __shared__ float room[32];
    __shared__ i32 counts[32];
    float sum = 0.f;
    for (int b = threadIdx.x; b < a.blocks; b += blockDim.x) sum += a.partial[b];
    sum = block_sum(sum, room);
    i64 valid = count_valid(a.valid, a.blocks, counts);
    if (threadIdx.x == 0) *a.to = a.mean && valid > 0 ? sum / (float)valid : sum;
}

// Rows that count.
ORTHRUS_KERNEL cross_entropy_count(const CrossEntropyArgs a)
{
    __shared__ i32 counts[32];
    i64 begin = (i64)blockIdx.x * RowsPerBlock, end = begin + RowsPerBlock < a.rows ? begin + RowsPerBlock : a.rows;
    i32 valid = 0;
    for (i64 row = begin + threadIdx.x; row < end; row += blockDim.x) valid += label_of(a, row) != a.ignore;
    valid = block_count(valid, counts);
    if (threadIdx.x == 0) a.valid[blockIdx.x] = valid;
}

ORTHRUS_KERNEL cross_entropy_backward(const CrossEntropyArgs a)
{
    __shared__ i32 counts[32];
    float divisor = 1.f;
    if (a.valid) divisor = (float)count_valid(a.valid, a.blocks, counts);
    bool few = a.classes <= FewClasses;
    int step = few ? blockDim.x : blockDim.x >> 5, first = few ? threadIdx.x : threadIdx.x >> 5, lane = threadIdx.x & 31;
    i64 begin = (i64)blockIdx.x * RowsPerBlock, end = begin + RowsPerBlock < a.rows ? begin + RowsPerBlock : a.rows;
    for (i64 row = begin + first; row < end; row += step)
    {
        i64 label = label_of(a, row);
        bool ignored = label == a.ignore;
        float by = ignored ? 0.f : (u64)label < (u64)a.classes ? (a.per_row ? a.dy[row] : *a.dy) / divisor : __int_as_float(0x7fc00000);
        const float* x = a.x + row * a.classes;
        float* dx = a.to + row * a.classes;
        float largest, sum, others = 0.f;
        // The label's p - 1 is minus the sum of the other p: a confident row must not lose its gradient to cancellation.
        if (!few)
        {
            row_of_many(x, a.classes, largest, sum);
            for (int v = lane; v < a.classes; v += 32) others += v == label ? 0.f : expf(x[v] - largest);
            others = warp_sum(others);
            for (int v = lane; v < a.classes; v += 32) dx[v] = ignored ? 0.f : v == label ? -(others / sum * by) : expf(x[v] - largest) / sum * by;
            continue;
        }
        float p[FewClasses];
        row_of_few(a, row, p, largest, sum);
        #pragma unroll
        for (int v = 0; v < FewClasses; v++)
            if (v < a.classes)
            {
                p[v] = expf(p[v] - largest);
                if (v != label) others += p[v];
            }
        #pragma unroll
        for (int v = 0; v < FewClasses; v++) if (v < a.classes) p[v] = ignored ? 0.f : (v == label ? -others : p[v]) / sum * by;
        if (a.vector && a.classes == 4) *(float4*)dx = make_float4(p[0], p[1], p[2], p[3]);
        else
        {
            #pragma unroll
            for (int v = 0; v < FewClasses; v++) if (v < a.classes) dx[v] = p[v];
        }
    }
}
