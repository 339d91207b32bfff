// Batch normalisation of the last axis. Two ways through the operand:
//
// Resident: a block keeps its eight channels (one sector of each row) of all rows in shared memory, so that training too reads and writes everything once.
// Streamed, for more rows than fit: blocks reduce tiles of rows to partial statistics, a small kernel merges those in the order of the tiles, and a last one
// reads the operand again. Evaluation needs no statistics and is a single pass, forward and backward.
//
// Variances come from distances to a mean, never from squares of the values themselves.
#include "orthrus.cuh"

struct BatchNormArgs
{
    const float *x, *dy, *weight, *bias, *running_mean, *running_var;
    const void* lengths;            // null: all positions count
    float *y, *new_mean, *new_var;  // new_mean, new_var: null without running statistics
    float *mean, *scale;            // training: of the batch; null in evaluation
    float *dx, *dweight, *dbias;    // null where not wanted
    float* partial;                 // streamed: two planes of tiles rows of C, then forward each tile's number of positions, backward two rows of C
    i32 rows, C, L, length_bytes;
    i32 tile, tiles;                // streamed: rows of a tile, tiles
    i32 in_fours;
    float eps, momentum, keep;
};

// ---- Which positions count ------------------------------------------------------------------------------------------------------------------------------

DEVICE i64 length(const BatchNormArgs& a, int b)
{
    return a.length_bytes == 1 ? ((const u8*)a.lengths)[b] : a.length_bytes == 4 ? ((const i32*)a.lengths)[b] : ((const i64*)a.lengths)[b];
}

DEVICE bool counts(const BatchNormArgs& a, int row) { return !a.lengths || row % a.L < length(a, row / a.L); }

// Number of positions that count, the same in every thread of the block.
DEVICE float positions(const BatchNormArgs& a)
{
    if (!a.lengths) return (float)a.rows;
    __shared__ u32 room[32];
    u32 n = 0;
    for (int b = threadIdx.x; b < a.rows / a.L; b += blockDim.x) n += (u32)max(0ll, min(length(a, b), (i64)a.L));
    #pragma unroll
    for (int d = 16; d > 0; d >>= 1) n += __shfl_xor_sync(0xffffffffu, n, d);
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = n;
    __syncthreads();
    n = 0;
    for (int w = 0; w < blockDim.x >> 5; w++) n += room[w];
    return (float)n;
}

// ---- Statistics -----------------------------------------------------------------------------------------------------------------------------------------

// Adds a group of share = (its number) / (number of both) to the group before, which has n. Chan, Golub and LeVeque 1983.
DEVICE void merge(float n, float& mean, float& squares, float share, float mean2, float squares2)
{
    float d = mean2 - mean;
    mean = fmaf(d, share, mean);
    squares += fmaf(d * d, n * share, squares2);
}

DEVICE float share_of(float n, float more) { return more > 0.f ? more / (n + more) : 0.f; }

DEVICE void finish(const BatchNormArgs& a, int c, float n, float mean, float squares)
{
    a.mean[c] = mean;
    a.scale[c] = 1.f / sqrtf(squares / n + a.eps);
    if (!a.new_mean) return;
    a.new_mean[c] = a.keep * a.running_mean[c] + a.momentum * mean;
    a.new_var[c] = a.keep * a.running_var[c] + a.momentum * (squares / (n - 1.f));
}

DEVICE float mean_of(const BatchNormArgs& a, int c) { return a.mean ? a.mean[c] : a.running_mean[c]; }
DEVICE float scale_of(const BatchNormArgs& a, int c) { return a.mean ? a.scale[c] : 1.f / sqrtf(a.running_var[c] + a.eps); }

// ---- Streamed -------------------------------------------------------------------------------------------------------------------------------------------
// Eight warps, each with every eighth row of the tile; lanes go along the channels, V of them each.

const int Warps = 8, Batch = 4;

template <int V> DEVICE int channel() { return (blockIdx.y * 32 + (threadIdx.x & 31)) * V; }

template <int V> DEVICE void load(const float* p, float (&v)[V])
{
    if (V == 4)
    {
        float4 q = load4(p);
        v[0] = q.x, v[V > 1 ? 1 : 0] = q.y, v[V > 2 ? 2 : 0] = q.z, v[V > 3 ? 3 : 0] = q.w;
    }
    else v[0] = *p;
}

template <int V> DEVICE void store(float* p, const float (&v)[V])
{
    if (V == 4) store4(p, make_float4(v[0], v[V > 1 ? 1 : 0], v[V > 2 ? 2 : 0], v[V > 3 ? 3 : 0]));
    else *p = v[0];
}

template <int V> DEVICE void tile_moments(const BatchNormArgs& a)
{
    __shared__ float means[Warps][32 * V], all_squares[Warps][32 * V], numbers[Warps];
    int c = channel<V>(), lane = threadIdx.x & 31, warp = threadIdx.x >> 5, begin = blockIdx.x * a.tile, end = min(a.rows, begin + a.tile);
    float n = 0.f, mean[V] = {}, squares[V] = {};
    for (int first = begin + warp; first < end; first += Warps * Batch)
    {
        float v[Batch][V];
        bool in[Batch];
        float more = 0.f;
        #pragma unroll
        for (int r = 0; r < Batch; r++)
        {
            int row = first + r * Warps;
            in[r] = row < end && counts(a, row);
            if (in[r]) more += 1.f;
            #pragma unroll
            for (int j = 0; j < V; j++) v[r][j] = 0.f;
            if (in[r] && c < a.C) load<V>(a.x + (i64)row * a.C + c, v[r]);
        }
        float share = share_of(n, more), each = more > 0.f ? 1.f / more : 0.f;
        #pragma unroll
        for (int j = 0; j < V; j++)
        {
            float m = 0.f, q = 0.f;
            #pragma unroll
            for (int r = 0; r < Batch; r++) m += v[r][j];
            m *= each;
            #pragma unroll
            for (int r = 0; r < Batch; r++)
            {
                float d = in[r] ? v[r][j] - m : 0.f;
                q = fmaf(d, d, q);
            }
            merge(n, mean[j], squares[j], share, m, q);
        }
        n += more;
    }
    #pragma unroll
    for (int j = 0; j < V; j++)
    {
        means[warp][lane + 32 * j] = mean[j];
        all_squares[warp][lane + 32 * j] = squares[j];
    }
    if (lane == 0) numbers[warp] = n;
    __syncthreads();
    if (threadIdx.x >= 32 * V) return;
    // Slot i holds channel i / 32 of lane i % 32.
    int slot = threadIdx.x, own = (blockIdx.y * 32 + slot % 32) * V + slot / 32;
    float sum_n = 0.f, sum_mean = 0.f, sum_squares = 0.f;
    for (int w = 0; w < Warps; w++)
    {
        merge(sum_n, sum_mean, sum_squares, share_of(sum_n, numbers[w]), means[w][slot], all_squares[w][slot]);
        sum_n += numbers[w];
    }
    i64 at = (i64)blockIdx.x * a.C + own;
    if (own < a.C)
    {
        a.partial[at] = sum_mean;
        a.partial[(i64)a.tiles * a.C + at] = sum_squares;
    }
    if (slot == 0 && blockIdx.y == 0) a.partial[2ll * a.tiles * a.C + blockIdx.x] = sum_n;
}

ORTHRUS_KERNEL batch_norm_moments(const BatchNormArgs a)
{
    if (a.in_fours) tile_moments<4>(a);
    else tile_moments<1>(a);
}

// Merges the tiles: lanes are channels, each warp takes every eighth tile.
ORTHRUS_KERNEL batch_norm_statistics(const BatchNormArgs a)
{
    __shared__ float means[Warps][32], all_squares[Warps][32], numbers[Warps];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, c = blockIdx.x * 32 + lane;
    float n = 0.f, mean = 0.f, squares = 0.f;
    for (int t = warp; t < a.tiles; t += Warps)
    {
        float more = a.partial[2ll * a.tiles * a.C + t];
        i64 at = (i64)t * a.C + c;
        if (c < a.C) merge(n, mean, squares, share_of(n, more), a.partial[at], a.partial[(i64)a.tiles * a.C + at]);
        n += more;
    }
    means[warp][lane] = mean;
    all_squares[warp][lane] = squares;
    if (lane == 0) numbers[warp] = n;
    __syncthreads();
    if (warp != 0 || c >= a.C) return;
    for (int w = 1; w < Warps; w++)
    {
        merge(n, mean, squares, share_of(n, numbers[w]), means[w][lane], all_squares[w][lane]);
        n += numbers[w];
    }
    finish(a, c, n, mean, squares);
}

template <int V> DEVICE void apply(const BatchNormArgs& a)
{
    int c = channel<V>(), begin = blockIdx.x * a.tile, end = min(a.rows, begin + a.tile);
    if (c >= a.C) return;
    float mean[V], scale[V], weight[V], bias[V];
    #pragma unroll
    for (int j = 0; j < V; j++) mean[j] = mean_of(a, c + j), scale[j] = scale_of(a, c + j), weight[j] = a.weight[c + j], bias[j] = a.bias[c + j];
    #pragma unroll 2
    for (int row = begin + (threadIdx.x >> 5); row < end; row += Warps)
    {
        float v[V];
        load<V>(a.x + (i64)row * a.C + c, v);
        #pragma unroll
        for (int j = 0; j < V; j++) v[j] = fmaf((v[j] - mean[j]) * scale[j], weight[j], bias[j]);
        store<V>(a.y + (i64)row * a.C + c, v);
    }
}

ORTHRUS_KERNEL batch_norm_apply(const BatchNormArgs a)
{
    if (a.in_fours) apply<4>(a);
    else apply<1>(a);
}

// Sums over the tile of dy and dy x hat, of all positions: those that do not count are normalised as well. In evaluation dx comes out of the same pass.
template <int V> DEVICE void tile_gradients(const BatchNormArgs& a)
{
    __shared__ float sums[2][Warps][32 * V];
    int c = channel<V>(), lane = threadIdx.x & 31, warp = threadIdx.x >> 5, begin = blockIdx.x * a.tile, end = min(a.rows, begin + a.tile);
    float sum[V] = {}, along[V] = {};
    if (c < a.C)
    {
        float mean[V], scale[V], slope[V];
        #pragma unroll
        for (int j = 0; j < V; j++) mean[j] = mean_of(a, c + j), scale[j] = scale_of(a, c + j), slope[j] = scale[j] * a.weight[c + j];
        #pragma unroll 2
        for (int row = begin + warp; row < end; row += Warps)
        {
            float x[V] = {}, g[V], out[V];
            i64 at = (i64)row * a.C + c;
            load<V>(a.dy + at, g);
            if (a.partial) load<V>(a.x + at, x);
            #pragma unroll
            for (int j = 0; j < V; j++)
            {
                sum[j] += g[j];
                along[j] = fmaf(g[j], (x[j] - mean[j]) * scale[j], along[j]);
                out[j] = g[j] * slope[j];
            }
            if (!a.scale && a.dx) store<V>(a.dx + at, out);
        }
    }
    if (!a.partial) return;
    #pragma unroll
    for (int j = 0; j < V; j++)
    {
        sums[0][warp][lane + 32 * j] = sum[j];
        sums[1][warp][lane + 32 * j] = along[j];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 64 * V; i += 32 * Warps)
    {
        int which = i / (32 * V), slot = i % (32 * V), own = (blockIdx.y * 32 + slot % 32) * V + slot / 32;
        float total = 0.f;
        for (int w = 0; w < Warps; w++) total += sums[which][w][slot];
        if (own < a.C) a.partial[((i64)which * a.tiles + blockIdx.x) * a.C + own] = total;
    }
}

ORTHRUS_KERNEL batch_norm_gradient_sums(const BatchNormArgs a)
{
    if (a.in_fours) tile_gradients<4>(a);
    else tile_gradients<1>(a);
}

// Adds up the tiles; blockIdx.y 0: dy, 1: dy x hat. The totals, divided by the number of positions, go behind the tiles.
ORTHRUS_KERNEL batch_norm_gradient_totals(const BatchNormArgs a)
{
    __shared__ float sums[Warps][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, c = blockIdx.x * 32 + lane, which = blockIdx.y;
    float sum = 0.f, n = positions(a);
    for (int t = warp; t < a.tiles && c < a.C; t += Warps) sum += a.partial[((i64)which * a.tiles + t) * a.C + c];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || c >= a.C) return;
    for (int w = 1; w < Warps; w++) sum += sums[w][lane];
    float* to = which ? a.dweight : a.dbias;
    if (to) to[c] = sum;
    a.partial[2ll * a.tiles * a.C + (i64)which * a.C + c] = sum / n;
}

// In training mean and variance move with every position that entered them: dy less its mean and its part along x hat, which a.partial points to here.
template <int V> DEVICE void apply_gradient(const BatchNormArgs& a)
{
    int c = channel<V>(), begin = blockIdx.x * a.tile, end = min(a.rows, begin + a.tile);
    if (c >= a.C) return;
    float mean[V], scale[V], slope[V], sum[V], along[V];
    #pragma unroll
    for (int j = 0; j < V; j++)
        mean[j] = a.mean[c + j], scale[j] = a.scale[c + j], slope[j] = scale[j] * a.weight[c + j], sum[j] = a.partial[c + j], along[j] = a.partial[a.C + c + j];
    #pragma unroll 2
    for (int row = begin + (threadIdx.x >> 5); row < end; row += Warps)
    {
        float x[V] = {}, g[V];
        i64 at = (i64)row * a.C + c;
        bool entered = counts(a, row);
        load<V>(a.dy + at, g);
        if (entered) load<V>(a.x + at, x);
        #pragma unroll
        for (int j = 0; j < V; j++)
        {
            if (entered) g[j] -= fmaf((x[j] - mean[j]) * scale[j], along[j], sum[j]);
            g[j] *= slope[j];
        }
        store<V>(a.dx + at, g);
    }
}

ORTHRUS_KERNEL batch_norm_gradient_apply(const BatchNormArgs a)
{
    if (a.in_fours) apply_gradient<4>(a);
    else apply_gradient<1>(a);
}

// ---- Resident -------------------------------------------------------------------------------------------------------------------------------------------
// 64 lines of eight channels; a thread sees the elements of its own channel and line only, so that the tile needs no barrier.

const int Lines = 64, Ahead = 4;

extern __shared__ float tile[];

// Sum over the lines of a channel, the same bits in every thread of the channel.
DEVICE float channel_sum(float x, float (&room)[Lines / 4][8])
{
    x += __shfl_xor_sync(0xffffffffu, x, 8);
    x += __shfl_xor_sync(0xffffffffu, x, 16);
    __syncthreads();
    if ((threadIdx.x & 31) < 8) room[threadIdx.x >> 5][threadIdx.x & 7] = x;
    __syncthreads();
    x = 0.f;
    for (int w = 0; w < Lines / 4; w++) x += room[w][threadIdx.x & 7];
    return x;
}

ORTHRUS_KERNEL __launch_bounds__(8 * Lines) batch_norm_resident(const BatchNormArgs a)
{
    __shared__ float room[Lines / 4][8];
    int k = threadIdx.x & 7, c = blockIdx.x * 8 + k, line = threadIdx.x >> 3;
    bool inside = c < a.C;
    float n = positions(a), sum = 0.f, squares = 0.f;
    for (int first = line; first < a.rows && inside; first += Lines * Ahead)
    {
        float v[Ahead];
        #pragma unroll
        for (int r = 0; r < Ahead; r++)
            if (first + r * Lines < a.rows) v[r] = a.x[(i64)(first + r * Lines) * a.C + c];
        #pragma unroll
        for (int r = 0; r < Ahead; r++)
        {
            int row = first + r * Lines;
            if (row >= a.rows) break;
            tile[8 * row + k] = v[r];
            if (counts(a, row)) sum += v[r];
        }
    }
    float mean = channel_sum(sum, room) / n;
    for (int row = line; row < a.rows && inside; row += Lines)
        if (counts(a, row))
        {
            float d = tile[8 * row + k] - mean;
            squares = fmaf(d, d, squares);
        }
    squares = channel_sum(squares, room);
    if (!inside) return;
    if (line == 0) finish(a, c, n, mean, squares);
    float scale = 1.f / sqrtf(squares / n + a.eps), weight = a.weight[c], bias = a.bias[c];
    #pragma unroll 4
    for (int row = line; row < a.rows; row += Lines) a.y[(i64)row * a.C + c] = fmaf((tile[8 * row + k] - mean) * scale, weight, bias);
}

ORTHRUS_KERNEL __launch_bounds__(8 * Lines) batch_norm_gradient_resident(const BatchNormArgs a)
{
    __shared__ float room[Lines / 4][8];
    float *normals = tile, *gradients = tile + 8 * a.rows;
    int k = threadIdx.x & 7, c = blockIdx.x * 8 + k, line = threadIdx.x >> 3;
    bool inside = c < a.C;
    float n = positions(a), mean = inside ? a.mean[c] : 0.f, scale = inside ? a.scale[c] : 0.f, sum = 0.f, along = 0.f;
    for (int first = line; first < a.rows && inside; first += Lines * Ahead)
    {
        float x[Ahead], g[Ahead];
        #pragma unroll
        for (int r = 0; r < Ahead; r++)
            if (first + r * Lines < a.rows)
            {
                i64 at = (i64)(first + r * Lines) * a.C + c;
                x[r] = a.x[at];
                g[r] = a.dy[at];
            }
        #pragma unroll
        for (int r = 0; r < Ahead; r++)
        {
            int row = first + r * Lines;
            if (row >= a.rows) break;
            float normal = (x[r] - mean) * scale;
            normals[8 * row + k] = normal;
            gradients[8 * row + k] = g[r];
            sum += g[r];
            along = fmaf(g[r], normal, along);
        }
    }
    sum = channel_sum(sum, room);
    along = channel_sum(along, room);
    if (!inside) return;
    if (line == 0 && a.dbias) a.dbias[c] = sum;
    if (line == 0 && a.dweight) a.dweight[c] = along;
    if (!a.dx) return;
    float slope = scale * a.weight[c];
    sum /= n;
    along /= n;
    #pragma unroll 4
    for (int row = line; row < a.rows; row += Lines)
    {
        float g = gradients[8 * row + k];
        if (counts(a, row)) g -= fmaf(normals[8 * row + k], along, sum);
        a.dx[(i64)row * a.C + c] = g * slope;
    }
}
