// Layer norm and RMS norm of rows of d numbers, with and without a residual that is added before: one pass over memory, the row in registers between its
// statistics and its results. A warp takes a row of up to 32 V N numbers, above that a block does; weights stay in registers from row to row.
#include "orthrus.cuh"

struct NormArgs
{
    const act* h;
    const float* residual; // or null: rows are h
    const float* weight;
    const float* bias;     // or null
    act* y;
    float* sum;            // with a residual
    i64 rows;
    i32 d, centred;        // centred: layer norm
    float eps;
};

struct NormGradArgs
{
    const act* h;
    const float* sum;      // the rows, or null: they are h
    const float* weight;
    const act* dy;         // or null
    const float* dsum;     // or null
    act* dx;               // or null
    float* dresidual;      // or null
    float* parts;          // (blocks, 2, d): gradients of weight and bias from each block's rows, or null
    i64 rows;
    i32 d, centred;
    float eps;
};

// Where the numbers of a row stand: chunk c of a thread is V numbers from at(c) on.
template <int V, bool Block> struct Place
{
    int lane, stride, d;
    i64 row, step;

    __device__ __forceinline__ Place(int d) : d(d)
    {
        int warps = blockDim.x >> 5;
        lane = Block ? threadIdx.x : threadIdx.x & 31;
        stride = (Block ? blockDim.x : 32) * V;
        row = Block ? blockIdx.x : (i64)blockIdx.x * warps + (threadIdx.x >> 5);
        step = Block ? gridDim.x : (i64)gridDim.x * warps;
    }
    __device__ __forceinline__ int at(int c) const { return c * stride + lane * V; }
    __device__ __forceinline__ bool has(int c) const { return at(c) < d; }
    __device__ __forceinline__ float sum(float x, float* room) const { return Block ? block_sum(x, room) : warp_sum(x); }

    template <int N, class T> __device__ __forceinline__ void read(const T* p, float (&x)[N][V]) const
    {
        #pragma unroll
        for (int c = 0; c < N; c++)
        {
            #pragma unroll
            for (int i = 0; i < V; i++) x[c][i] = 0.f;
            if (has(c)) load(p + at(c), x[c]);
        }
    }
};

// The mean is shift + rest: where it is large, its rounding would be as large as the spread. Both are 0 for RMS norm.
struct Statistics
{
    float shift, rest, scale;

    template <int V, int N, bool Block>
    __device__ __forceinline__ Statistics(const Place<V, Block>& place, const float (&x)[N][V], bool centred, float eps, float* room)
    {
        float n = place.d, sum = 0.f, squares = 0.f;
        shift = rest = 0.f;
        if (centred)
        {
            // Where there is no number stands a zero.
            #pragma unroll
            for (int c = 0; c < N; c++)
                #pragma unroll
                for (int i = 0; i < V; i++) sum += x[c][i];
            shift = place.sum(sum, room) / n;
            sum = 0.f;
        }
        #pragma unroll
        for (int c = 0; c < N; c++)
            if (place.has(c))
            {
                #pragma unroll
                for (int i = 0; i < V; i++)
                {
                    float e = x[c][i] - shift;
                    sum += e;
                    squares = fmaf(e, e, squares);
                }
            }
        float variance = place.sum(squares, room) / n;
        if (centred)
        {
            rest = place.sum(sum, room) / n;
            // A NaN stays one.
            variance -= rest * rest;
            variance = variance < 0.f ? 0.f : variance;
        }
        scale = 1.f / sqrtf(variance + eps);
    }
    __device__ __forceinline__ float normal(float x) const { return (x - shift - rest) * scale; }
};

template <int V, int N, bool Block> DEVICE void forward(const NormArgs& a)
{
    __shared__ float room[32];
    Place<V, Block> place(a.d);
    float weight[N][V], bias[N][V];
    place.read(a.weight, weight);
    if (a.bias != nullptr) place.read(a.bias, bias);
    else
    {
        #pragma unroll
        for (int c = 0; c < N; c++)
            #pragma unroll
            for (int i = 0; i < V; i++) bias[c][i] = 0.f;
    }
    for (i64 row = place.row; row < a.rows; row += place.step)
    {
        float x[N][V];
        place.read(a.h + row * a.d, x);
        if (a.residual != nullptr)
        {
            float residual[N][V];
            place.read(a.residual + row * a.d, residual);
            #pragma unroll
            for (int c = 0; c < N; c++)
            {
                #pragma unroll
                for (int i = 0; i < V; i++) x[c][i] += residual[c][i];
                if (place.has(c)) store(a.sum + row * a.d + place.at(c), x[c]);
            }
        }
        Statistics statistics(place, x, a.centred != 0, a.eps, room);
        #pragma unroll
        for (int c = 0; c < N; c++)
        {
            #pragma unroll
            for (int i = 0; i < V; i++) x[c][i] = fmaf(statistics.normal(x[c][i]), weight[c][i], bias[c][i]);
            if (place.has(c)) store(a.y + row * a.d + place.at(c), x[c]);
        }
    }
}

template <int V, int N, bool Block> DEVICE void backward(const NormGradArgs& a)
{
    __shared__ float room[Block ? 32 : 4 * 32 * N * V];
    Place<V, Block> place(a.d);
    float weight[N][V], dweight[N * V], dbias[N * V];
    place.read(a.weight, weight);
    #pragma unroll
    for (int i = 0; i < N * V; i++) dweight[i] = dbias[i] = 0.f;
    for (i64 row = place.row; row < a.rows; row += place.step)
    {
        i64 start = row * a.d;
        float g[N][V];
        if (a.dy != nullptr)
        {
            float x[N][V];
            if (a.sum != nullptr) place.read(a.sum + start, x);
            else place.read(a.h + start, x);
            place.read(a.dy + start, g);
            Statistics statistics(place, x, a.centred != 0, a.eps, room);
            float sum = 0.f, along = 0.f;
            #pragma unroll
            for (int c = 0; c < N; c++)
                if (place.has(c))
                {
                    #pragma unroll
                    for (int i = 0; i < V; i++)
                    {
                        float normal = statistics.normal(x[c][i]), dy = g[c][i], weighted = dy * weight[c][i];
                        dweight[c * V + i] = fmaf(dy, normal, dweight[c * V + i]);
                        dbias[c * V + i] += dy;
                        sum += weighted;
                        along = fmaf(weighted, normal, along);
                        x[c][i] = normal;
                        g[c][i] = weighted;
                    }
                }
            // The mean and the scale move with x: subtract from the weighted gradient its mean and its part along the normalised row.
            float n = a.d, mean = a.centred != 0 ? place.sum(sum, room) / n : 0.f, part = place.sum(along, room) / n;
            #pragma unroll
            for (int c = 0; c < N; c++)
                #pragma unroll
                for (int i = 0; i < V; i++) g[c][i] = (g[c][i] - mean - x[c][i] * part) * statistics.scale;
        }
        else
        {
            #pragma unroll
            for (int c = 0; c < N; c++)
                #pragma unroll
                for (int i = 0; i < V; i++) g[c][i] = 0.f;
        }
        #pragma unroll
        for (int c = 0; c < N; c++)
            if (place.has(c))
            {
                i64 at = start + place.at(c);
                if (a.dsum != nullptr)
                {
                    float more[V];
                    load(a.dsum + at, more);
                    #pragma unroll
                    for (int i = 0; i < V; i++) g[c][i] += more[i];
                }
                if (a.dx != nullptr) store(a.dx + at, g[c]);
                if (a.dresidual != nullptr) store(a.dresidual + at, g[c]);
            }
    }
    if (a.parts == nullptr) return;
    if (!Block)
    {
        fold_warps(dweight, room);
        fold_warps(dbias, room);
        if (threadIdx.x >= 32) return;
    }
    float* part = a.parts + (i64)blockIdx.x * 2 * a.d;
    #pragma unroll
    for (int c = 0; c < N; c++)
        if (place.has(c))
        {
            float w[V], b[V];
            #pragma unroll
            for (int i = 0; i < V; i++)
            {
                w[i] = dweight[c * V + i];
                b[i] = dbias[c * V + i];
            }
            store(part + place.at(c), w);
            store(part + a.d + place.at(c), b);
        }
}

#define NORM(name, V, N, Block, ForwardThreads, BackwardThreads) \
    extern "C" __global__ void __launch_bounds__(ForwardThreads) norm_forward_##name(const NormArgs a) { forward<V, N, Block>(a); } \
    extern "C" __global__ void __launch_bounds__(BackwardThreads) norm_backward_##name(const NormGradArgs a) { backward<V, N, Block>(a); }

// By the largest row; those that cannot be read by fours end in "single".
NORM(256, 4, 2, false, 128, 256)
NORM(512, 4, 4, false, 128, 256)
NORM(1024, 4, 8, false, 128, 256)
NORM(8192, 4, 8, true, 256, 256)
NORM(256_single, 1, 8, false, 128, 256)
NORM(4096_single, 1, 4, true, 1024, 1024)
