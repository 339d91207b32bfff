// Gradients through all similarities (similarity.cu): a tile of them is formed again, turned into weights and multiplied with the partners.
#include "similarity.cuh"

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
