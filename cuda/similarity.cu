// Similarities of all anchors with all keys, s(i, j) = x_i . y_j / tau, and what the contrastive losses take from them: per row the log-sum-exp and, for
// dcl, its metrics; backward the gradients. The similarities exist a tile at a time, in registers: 64 rows against 128 columns, 8 x 8 per thread. Memory
// holds a few numbers per row and split of the columns, and backward per split one partial gradient.
//
// Stages of shared memory: 16 numbers of each row of both sides, as 4 quads per row; quad q of row r lies at 4 r + (q ^ (r / 2 % 4)), so that neither the
// 4 x 2 quads that 8 lanes write nor quad q of 8 consecutive rows, which they read, meet in a bank. All products add up in ascending order of the depth:
// equal rows have equal similarities wherever they stand.
#include "orthrus.cuh"

const int Rows = 64, Columns = 128, Threads = 128, StageQuads = 4 * (Rows + Columns);
// Backward: weights of 64 rows by half the columns; a row is 8 banks further than the last.
const int Half = 64, WeightRow = 72;
// d of the gradient that a thread block adds up in registers.
const int Chunk = 128;

#define INFINITE __int_as_float(0x7f800000)

// ---- Stages ---------------------------------------------------------------------------------------------------------------------------------------------

#if __CUDA_ARCH__ >= 800
DEVICE void copy_quad(float4* to, const float* from, bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(valid ? 16 : 0) : "memory");
}

DEVICE void copy_one(float* to, const float* from, bool valid)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(valid ? 4 : 0) : "memory");
}

// Begins to bring numbers k to k + 3 of a row; those beyond the width, or of a row that does not exist, are 0.
DEVICE void fetch(float4* to, const float* base, i64 row, bool exists, int k, int width, bool vector)
{
    const float* from = base + row * width + k;
    if (vector)
    {
        bool valid = exists && k < width;
        copy_quad(to, valid ? from : base, valid);
        return;
    }
    #pragma unroll
    for (int i = 0; i < 4; i++)
    {
        bool valid = exists && k + i < width;
        copy_one((float*)to + i, valid ? from + i : base, valid);
    }
}

// The stage fetched last is complete, and nobody reads the other one any more.
DEVICE void arrive()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
}
#else
// Straight through registers: other blocks of the multiprocessor cover the wait.
DEVICE void fetch(float4* to, const float* base, i64 row, bool exists, int k, int width, bool vector)
{
    const float* from = base + row * width + k;
    float4 q = make_float4(0.f, 0.f, 0.f, 0.f);
    if (vector)
    {
        if (exists && k < width) q = *(const float4*)from;
    }
    else if (exists)
    {
        if (k < width) q.x = from[0];
        if (k + 1 < width) q.y = from[1];
        if (k + 2 < width) q.z = from[2];
        if (k + 3 < width) q.w = from[3];
    }
    *to = q;
}

DEVICE void arrive() { __syncthreads(); }
#endif

// One tile's two sides: pointers to its first rows and the number of rows there are from there on.
struct Tile
{
    const float* rows;
    const float* columns;
    i32 row_count, column_count, width;
    bool vector;
};

// The same number, in a way that keeps what is computed from it where it stands: taken out of the loops, addresses would cost more registers than there are.
DEVICE int anew(int x)
{
    int y;
    asm volatile("mov.b32 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

// Numbers k to k + 15 of all rows of a tile: each thread the same quad of every 32nd row.
DEVICE void fetch_sides(float4* stage, const Tile& t, int k)
{
    int id = anew(threadIdx.x), width = anew(t.width), row = id >> 2, quad = id & 3, at = 4 * row + (quad ^ (row >> 1 & 3));
    #pragma unroll
    for (int i = 0; i < 2; i++) fetch(stage + at + 128 * i, t.rows, row + 32 * i, row + 32 * i < t.row_count, k + 4 * quad, width, t.vector);
    #pragma unroll
    for (int i = 0; i < 4; i++) fetch(stage + at + 128 * (2 + i), t.columns, row + 32 * i, row + 32 * i < t.column_count, k + 4 * quad, width, t.vector);
}

// d to d + 127 of the columns' rows from one on, 16 of them: a warp takes a row.
DEVICE void fetch_columns(float4* stage, const Tile& t, int first, int d)
{
    int id = anew(threadIdx.x), width = anew(t.width), row = id >> 5, quad = id & 31;
    #pragma unroll
    for (int i = 0; i < 4; i++)
        fetch(stage + 32 * (row + 4 * i) + quad, t.columns, first + row + 4 * i, first + row + 4 * i < t.column_count, d + 4 * quad, width, t.vector);
}

// ---- Products -------------------------------------------------------------------------------------------------------------------------------------------

// A thread's rows are ty + 8 i, its columns tx + 16 j; 8 lanes of a warp share a row.
DEVICE int thread_row() { return (threadIdx.x >> 6) * 4 + (threadIdx.x >> 3 & 3); }
DEVICE int thread_column() { return (threadIdx.x >> 5 & 1) * 8 + (threadIdx.x & 7); }

DEVICE void multiply(float (&s)[8][8], const float4* stage)
{
    int ty = thread_row(), tx = thread_column();
    const float4* x = stage + 4 * ty;
    const float4* y = stage + 4 * Rows + 4 * tx;
    #pragma unroll 1
    for (int q = 0; q < 4; q++)
    {
        int qx = q ^ (ty >> 1 & 3), qy = q ^ (tx >> 1 & 3);
        float4 b[8];
        #pragma unroll
        for (int j = 0; j < 8; j++) b[j] = y[64 * j + qy];
        #pragma unroll
        for (int i = 0; i < 8; i++)
        {
            float4 a = x[32 * i + qx];
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.x, b[j].x, s[i][j]);
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.y, b[j].y, s[i][j]);
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.z, b[j].z, s[i][j]);
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.w, b[j].w, s[i][j]);
        }
    }
}

DEVICE void clear(float (&s)[8][8])
{
    #pragma unroll
    for (int i = 0; i < 8; i++)
        #pragma unroll
        for (int j = 0; j < 8; j++) s[i][j] = 0.f;
}

DEVICE int depth_steps(int width) { return width > 16 ? (width + 15) / 16 : 1; }

// ---- Forward --------------------------------------------------------------------------------------------------------------------------------------------

// Statistics of a row over the columns of one split, in this order; n numbers each.
const int Largest = 0, Sum = 1, Others = 2, Before = 3, Statistics = 4;

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

// A row's statistics over all columns.
struct Row { float log_sum_exp, others, nearest; };

DEVICE Row gather(const float* partial, int splits, int pairs, int pair, i64 n, i64 row, float own)
{
    float top = -INFINITE, lower = -INFINITE, others = 0.f, sum = 0.f;
    i64 stride = (i64)pairs * Statistics * n;
    const float* p = partial + (i64)pair * Statistics * n + row;
    for (int k = 0; k < splits; k++) top = fmaxf(top, p[k * stride + Largest * n]);
    for (int k = 0; k < splits; k++)
    {
        sum += p[k * stride + Sum * n] * expf(p[k * stride + Largest * n] - top);
        others += p[k * stride + Others * n];
        lower = fmaxf(lower, p[k * stride + Before * n]);
    }
    // Of equal similarities the first is the nearest.
    return { top + logf(sum), others, lower < own && top <= own ? 1.f : 0.f };
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

// ---- Backward -------------------------------------------------------------------------------------------------------------------------------------------

// A source of gradient for rows x: dx += sum over partners y of weight(x, y) y. The weight is that of a softmax in which x is the anchor, one in which y is,
// or both at once; pairs that belong together have their own. Pointers may be null.
struct Pair
{
    const float* partners;
    const float* row_weight;
    const float* row_log_sum_exp;
    const float* partner_weight;
    const float* partner_log_sum_exp;
    const float* own_by_row;
    const float* own_by_partner;
    i32 count, shift; // row x's own partner is x + shift
};

struct Target
{
    const float* rows;
    float* gradient; // or (splits, count, width) of partial ones
    Pair first, second;
};

struct BackwardArgs
{
    Target target0, target1;
    i32 count, width, splits, vector;
    float scale;
};

// Turns products of a tile into weights. A softmax that is not there has weight 0 and exponentials of 0: a branch would double the registers.
DEVICE void weigh(float (&s)[8][8], const Pair& p, int first, int rows, int column, float scale)
{
    int ty = thread_row(), tx = thread_column();
    float weight[8], shift[8];
    #pragma unroll
    for (int j = 0; j < 8; j++)
    {
        int c = column + tx + 16 * j;
        bool there = p.partner_weight && c < p.count;
        weight[j] = there ? p.partner_weight[c] : 0.f;
        shift[j] = there ? -(p.partner_log_sum_exp[c] * Log2E) : -INFINITE;
    }
    bool has_own = first + p.shift < column + Columns && first + p.shift + Rows > column, edge = column + Columns > p.count;
    #pragma unroll
    for (int i = 0; i < 8; i++)
    {
        int row = first + ty + 8 * i;
        bool exists = row < rows, anchor = exists && p.row_weight;
        float row_weight = anchor ? p.row_weight[row] : 0.f, row_shift = anchor ? -(p.row_log_sum_exp[row] * Log2E) : -INFINITE;
        #pragma unroll
        for (int j = 0; j < 8; j++)
        {
            float x = s[i][j] * scale;
            s[i][j] = fmaf(weight[j], exp2_fast(fmaf(x, Log2E, shift[j])), row_weight * exp2_fast(fmaf(x, Log2E, row_shift)));
        }
    }
    if (!has_own && !edge) return;
    #pragma unroll
    for (int i = 0; i < 8; i++)
    {
        int row = first + ty + 8 * i;
        float own = row < rows && p.own_by_row ? p.own_by_row[row] : 0.f;
        #pragma unroll
        for (int j = 0; j < 8; j++)
        {
            int c = column + tx + 16 * j;
            // The own pair is in no softmax; what stands there, an overflow perhaps, is dropped. So is what was made of columns that do not exist.
            if (c >= p.count) s[i][j] = 0.f;
            else if (c == row + p.shift) s[i][j] = p.own_by_partner ? p.own_by_partner[c] : own;
        }
    }
}

// gradient += weights x 16 rows of the columns.
DEVICE void multiply_weights(float (&g)[8][8], const float* weights, const float4* stage)
{
    int ty = thread_row(), tx = thread_column();
    #pragma unroll 1
    for (int k = 0; k < 16; k += 4)
    {
        float4 low[4], high[4];
        #pragma unroll
        for (int c = 0; c < 4; c++)
        {
            low[c] = stage[32 * (k + c) + tx];
            high[c] = stage[32 * (k + c) + 16 + tx];
        }
        #pragma unroll
        for (int i = 0; i < 8; i++)
        {
            float4 w = *(const float4*)(weights + (ty + 8 * i) * WeightRow + k);
            float by[4] = { w.x, w.y, w.z, w.w };
            #pragma unroll
            for (int c = 0; c < 4; c++)
            {
                g[i][0] = fmaf(by[c], low[c].x, g[i][0]);
                g[i][1] = fmaf(by[c], low[c].y, g[i][1]);
                g[i][2] = fmaf(by[c], low[c].z, g[i][2]);
                g[i][3] = fmaf(by[c], low[c].w, g[i][3]);
                g[i][4] = fmaf(by[c], high[c].x, g[i][4]);
                g[i][5] = fmaf(by[c], high[c].y, g[i][5]);
                g[i][6] = fmaf(by[c], high[c].z, g[i][6]);
                g[i][7] = fmaf(by[c], high[c].w, g[i][7]);
            }
        }
    }
}

// A thread's part of a chunk of the gradient: rows ty + 8 i, d = 4 tx + 0 to 3 and 64 on.
template <bool Store> DEVICE void move(float (&g)[8][8], const Target& t, int first, const BackwardArgs& a, int d)
{
    int ty = thread_row(), tx = thread_column(), width = anew(a.width);
    float* gradient = t.gradient + (i64)anew(blockIdx.z) * a.count * width;
    #pragma unroll
    for (int i = 0; i < 8; i++)
    {
        int row = first + ty + 8 * i;
        if (row >= a.count) continue;
        #pragma unroll
        for (int h = 0; h < 2; h++)
        {
            int at = d + 4 * tx + 64 * h;
            float* p = gradient + (i64)row * width + at;
            float* r = &g[i][4 * h];
            if (a.vector)
            {
                if (at >= width) continue;
                if (Store) *(float4*)p = make_float4(r[0], r[1], r[2], r[3]);
                else
                {
                    float4 v = *(const float4*)p;
                    r[0] = v.x;
                    r[1] = v.y;
                    r[2] = v.z;
                    r[3] = v.w;
                }
                continue;
            }
            #pragma unroll
            for (int c = 0; c < 4; c++)
                if (at + c < width)
                {
                    if (Store) p[c] = r[c];
                    else r[c] = p[c];
                }
        }
    }
}

DEVICE Tile tile_of(const Target& t, const BackwardArgs& a, int first, int tile, int tiles_of_first)
{
    bool second = tile >= tiles_of_first;
    int column = (second ? tile - tiles_of_first : tile) * Columns;
    const float* partners = second ? t.second.partners : t.first.partners;
    return { t.rows + (i64)first * a.width, partners + (i64)column * a.width, a.count - first, (second ? t.second.count : t.first.count) - column, a.width, a.vector != 0 };
}

// Tiles of rows along x, targets along y, splits of the partners' tiles along z. Where the gradient is wider than a chunk its place in memory holds the sums
// between the tiles; nobody else has it.
extern "C" __global__ void __launch_bounds__(Threads, 2) similarity_backward(const BackwardArgs a)
{
    __shared__ float4 stages[2][StageQuads];
    __shared__ __align__(16) float weights[Rows * WeightRow];
    int first = blockIdx.x * Rows, ty = thread_row(), tx = thread_column();
    // Its sixteen pointers would take as many registers as half a tile.
    __shared__ Target t;
    if (threadIdx.x == 0) t = blockIdx.y ? a.target1 : a.target0;
    __syncthreads();
    int tiles_of_first = (t.first.count + Columns - 1) / Columns, tiles = tiles_of_first + (t.second.count + Columns - 1) / Columns;
    int begin = (int)((i64)tiles * blockIdx.z / a.splits), end = (int)((i64)tiles * (blockIdx.z + 1) / a.splits);
    int steps = depth_steps(a.width), chunks = (a.width + Chunk - 1) / Chunk;

    float s[8][8], g[8][8];
    clear(g);
    int stage = 0;
    if (begin < end) fetch_sides(stages[0], tile_of(t, a, first, begin, tiles_of_first), 0);
    for (int tile = begin; tile < end; tile++)
    {
        clear(s);
        for (int step = 0; step < steps; step++)
        {
            arrive();
            // Anew in each step: kept, it would be in the way of a tile.
            Tile now = tile_of(t, a, first, tile, tiles_of_first);
            if (step == steps - 1) fetch_columns(stages[stage ^ 1], now, 0, 0);
            else fetch_sides(stages[stage ^ 1], now, 16 * (step + 1));
            multiply(s, stages[stage]);
            stage ^= 1;
        }
        bool in_second = tile >= tiles_of_first;
        int column = (in_second ? tile - tiles_of_first : tile) * Columns, parts = (in_second ? t.second.count : t.first.count) - column > Half ? 2 : 1;
        weigh(s, in_second ? t.second : t.first, first, a.count, column, a.scale);
        for (int half = 0; half < parts; half++)
        {
            // Everybody has used the other half.
            if (half) __syncthreads();
            #pragma unroll
            for (int i = 0; i < 8; i++)
                #pragma unroll
                for (int j = 0; j < 4; j++) 
                {
                    weights[(ty + 8 * i) * WeightRow + tx + 16 * j] = s[i][j];
                    s[i][j] = s[i][j + 4];
                }
            for (int chunk = 0; chunk < chunks; chunk++)
            {
                if (chunks > 1)
                {
                    if (tile == begin && half == 0) clear(g);
                    else move<false>(g, t, first, a, chunk * Chunk);
                }
                for (int k = 0; k < Half; k += 16)
                {
                    arrive();
                    bool same = k + 16 < Half, wider = chunk + 1 < chunks, here = same || wider || half + 1 < parts;
                    if (here || tile + 1 < end)
                    {
                        Tile now = tile_of(t, a, first, here ? tile : tile + 1, tiles_of_first);
                        int key = same ? half * Half + k + 16 : wider ? half * Half : Half, d = same ? chunk * Chunk : wider ? (chunk + 1) * Chunk : 0;
                        if (here) fetch_columns(stages[stage ^ 1], now, key, d);
                        else fetch_sides(stages[stage ^ 1], now, 0);
                    }
                    multiply_weights(g, weights + k, stages[stage]);
                    stage ^= 1;
                }
                if (chunks > 1) move<true>(g, t, first, a, chunk * Chunk);
            }
        }
    }
    if (chunks == 1) move<true>(g, t, first, a, 0);
    else if (begin == end)
        for (int chunk = 0; chunk < chunks; chunk++) move<true>(g, t, first, a, chunk * Chunk);
}

struct SumArgs
{
    const float* partial; // (splits, count)
    float* to;
    i64 count;
    i32 splits, vector;
};

ORTHRUS_KERNEL similarity_sum(const SumArgs a)
{
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (a.vector)
    {
        if (4 * i >= a.count) return;
        float4 sum = *(const float4*)(a.partial + 4 * i);
        for (int k = 1; k < a.splits; k++)
        {
            float4 x = *(const float4*)(a.partial + k * a.count + 4 * i);
            sum = make_float4(sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w);
        }
        *(float4*)(a.to + 4 * i) = sum;
        return;
    }
    if (i >= a.count) return;
    float sum = a.partial[i];
    for (int k = 1; k < a.splits; k++) sum += a.partial[k * a.count + i];
    a.to[i] = sum;
}

// ---- Decoupled contrastive loss -------------------------------------------------------------------------------------------------------------------------

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
