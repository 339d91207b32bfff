// Gradients of parameters: sums over parts of sums, in a fixed order. The kernels before this one leave, per part of the positions, S rows of C numbers:
// those of a channel's S - 1 weights, tap by tap, and of its bias.
#include "orthrus.cuh"

struct TotalsArgs
{
    const float* parts; // (count, S, C)
    float* weight;      // (C, S - 1), or null
    float* bias;        // (C), or null
    i32 count, sums, channels;
};

// Blocks of 32 columns and 8 rows: row r adds parts r, r + 8, ..., then the rows are added up.
ORTHRUS_KERNEL totals(const TotalsArgs a)
{
    __shared__ float room[8][32];
    int lane = threadIdx.x & 31, row = threadIdx.x >> 5, columns = a.sums * a.channels, column = blockIdx.x * 32 + lane;
    float sum = 0.f;
    if (column < columns)
    {
        const float* p = a.parts + column;
        #pragma unroll 4
        for (int i = row; i < a.count; i += 8) sum += p[(i64)i * columns];
    }
    room[row][lane] = sum;
    __syncthreads();
    if (row != 0 || column >= columns) return;
    #pragma unroll
    for (int r = 1; r < 8; r++) sum += room[r][lane];
    int s = column / a.channels, c = column - s * a.channels, weights = a.sums - 1;
    if (s < weights)
    {
        if (a.weight != nullptr) a.weight[(i64)c * weights + s] = sum;
    }
    else if (a.bias != nullptr) a.bias[c] = sum;
}
