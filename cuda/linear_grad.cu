// Gradients of Linear (linear.cu): products with the weights and with the rows, and sums over the rows.
#include "linear.cuh"

LINEAR(linear_input_grad, false, true, act, false)
LINEAR(linear_weight_grad, true, true, float, false)

#ifdef ORTHRUS_BF16
LINEAR_HUGE(linear_input_grad, false, true, act, false)
#endif

struct LinearSumArgs
{
    const float* parts;
    float* sum;
    i64 count;
    i32 slices;
};

// sum[i] = parts[0][i] + parts[1][i] + ... in that order.
ORTHRUS_KERNEL __launch_bounds__(256) linear_sum(const LinearSumArgs p)
{
    i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= p.count) return;
    float sum = p.slices > 0 ? p.parts[i] : 0.f;
    for (int s = 1; s < p.slices; s++) sum += p.parts[s * p.count + i];
    p.sum[i] = sum;
}

struct LinearBiasGradArgs
{
    const act* dy;
    float* parts;
    i64 rows, slice;
    i32 columns;
};

// parts[slice][column] = sum of dy over the slice's rows: a warp adds every eighth row of 32 columns, the first warp adds the eight sums.
ORTHRUS_KERNEL __launch_bounds__(256) linear_bias_grad(const LinearBiasGradArgs p)
{
    __shared__ float sums[8][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
    i64 row = blockIdx.y * p.slice, end = min(p.rows, row + p.slice);
    float sum = 0.f;
    if (column < p.columns)
        for (row += warp; row < end; row += 8) sum += to_float(p.dy[row * p.columns + column]);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || column >= p.columns) return;
    for (int w = 1; w < 8; w++) sum += sums[w][lane];
    p.parts[(i64)blockIdx.y * p.columns + column] = sum;
}
