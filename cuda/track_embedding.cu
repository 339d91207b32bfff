// Linear embedding of track bytes. Forward gathers rows of a table with one row per byte; backward adds dy up per track in registers, where a byte chooses
// which of its tracks' sums a row of dy joins: one pass over dy.
#include "orthrus.cuh"

struct EmbeddingArgs
{
    const u8* tracks;    // (P)
    const act* weight;   // (D, C)
    const float* bias;   // (D)
    act* table;          // (2^C, D)
    act* y;              // (P, D)
    i64 positions;
    i32 channels, bits;  // D, C
};

struct EmbeddingGradArgs
{
    const u8* tracks;    // (P)
    const act* dy;       // (P, D)
    float* parts;        // (blocks, C + 1, D): by track, then of the bias
    i64 positions;
    i32 channels, rows;  // positions of a warp
};

struct RowSumArgs
{
    const u8* tracks;          // (P)
    const act* dy;             // (P, D)
    float* parts;              // (shares, R, D)
    i64 positions;
    i32 channels, rows;        // D, R: 16 or 64
    i32 per_block;             // positions of a share
};

const int Bytes = 64;

ORTHRUS_KERNEL embedding_table(const EmbeddingArgs a)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.channels << a.bits) return;
    int byte = i / a.channels, d = i - byte * a.channels;
    float sum = a.bias[d];
    for (int k = 0; k < a.bits; k++)
        if ((byte >> k & 1) != 0) sum += to_float(a.weight[(i64)d * a.bits + k]);
    a.table[i] = to_act(sum);
}

// A block gathers Rows rows. A byte that is no set of tracks gives NaN.
const int Rows = 16;

template <int V> DEVICE void gather(const EmbeddingArgs& a)
{
    i64 first = (i64)blockIdx.x * Rows;
    int vectors = a.channels / V, count = (int)min((i64)Rows, a.positions - first) * vectors, mask = (1 << a.bits) - 1;
    act* y = a.y + first * a.channels;
    #pragma unroll 4
    for (int i = threadIdx.x; i < count; i += blockDim.x)
    {
        int row = i / vectors, byte = a.tracks[first + row];
        Raw<act, V> x = fetch<V>(a.table + (byte & mask) * a.channels + (i - row * vectors) * V);
        if (byte >= Bytes)
        {
            float nan[V];
            #pragma unroll
            for (int j = 0; j < V; j++) nan[j] = __int_as_float(0x7fffffff);
            store(y + (i64)i * V, nan);
        }
        else *(Raw<act, V>*)(y + (i64)i * V) = x;
    }
}

ORTHRUS_KERNEL embedding_gather(const EmbeddingArgs a) { gather<16 / sizeof(act)>(a); }
ORTHRUS_KERNEL embedding_gather_single(const EmbeddingArgs a) { gather<1>(a); }

const int Ahead = 8;

// A warp takes 32 V channels and some positions, whose bytes its lanes hold, 32 at a time; a block takes consecutive ones and adds up what its warps have.
template <int V, int C> DEVICE void backward(const EmbeddingGradArgs& a)
{
    extern __shared__ float room[];
    int lane = threadIdx.x & 31, warps = blockDim.x >> 5, groups = (a.channels + 32 * V - 1) / (32 * V), block = blockIdx.x / groups;
    int channel = (blockIdx.x - block * groups) * 32 * V + lane * V;
    i64 from = ((i64)block * warps + (threadIdx.x >> 5)) * a.rows, to = min(from + a.rows, a.positions);
    bool has = channel < a.channels;
    float sums[(C + 1) * V];
    #pragma unroll
    for (int i = 0; i < (C + 1) * V; i++) sums[i] = 0.f;
    for (i64 start = from; start < to; start += 32)
    {
        int byte = start + lane < to ? a.tracks[start + lane] : 0, count = (int)min(to - start, (i64)32);
        for (int p = 0; p < count; p += Ahead)
        {
            Raw<act, V> rows[Ahead];
            #pragma unroll
            for (int u = 0; u < Ahead; u++)
            {
                rows[u] = {};
                if (has && p + u < count) rows[u] = fetch<V>(a.dy + (start + p + u) * a.channels + channel);
            }
            #pragma unroll
            for (int u = 0; u < Ahead; u++)
            {
                int tracks = __shfl_sync(0xffffffffu, byte, (p + u) & 31);
                float dy[V];
                unpack(rows[u], dy);
                #pragma unroll
                for (int k = 0; k < C; k++)
                    if ((tracks >> k & 1) != 0)
                    {
                        #pragma unroll
                        for (int i = 0; i < V; i++) sums[k * V + i] += dy[i];
                    }
                #pragma unroll
                for (int i = 0; i < V; i++) sums[C * V + i] += dy[i];
            }
        }
    }
    fold_warps(sums, room);
    if (threadIdx.x >= 32 || !has) return;
    #pragma unroll
    for (int k = 0; k <= C; k++)
    {
        float sum[V];
        #pragma unroll
        for (int i = 0; i < V; i++) sum[i] = sums[k * V + i];
        store(a.parts + ((i64)block * (C + 1) + k) * a.channels + channel, sum);
    }
}

#define EMBEDDING(name, V, C) extern "C" __global__ void __launch_bounds__(512) embedding_backward_##name(const EmbeddingGradArgs a) { backward<V, C>(a); }

EMBEDDING(4, 4, 4)
EMBEDDING(6, 4, 6)
EMBEDDING(4_single, 1, 4)
EMBEDDING(6_single, 1, 6)

// Sums of dy per byte over a block's share of the positions: a thread has one channel and a column of R sums, which nobody else touches.
const int RowAhead = 16;

extern "C" __global__ void __launch_bounds__(128) row_sums(const RowSumArgs a)
{
    extern __shared__ float sums[];
    int groups = (a.channels + blockDim.x - 1) / blockDim.x, share = blockIdx.x / groups, channel = (blockIdx.x - share * groups) * blockDim.x + threadIdx.x;
    i64 from = (i64)share * a.per_block, to = min(from + a.per_block, a.positions);
    if (channel >= a.channels) return;
    float* mine = sums + threadIdx.x;
    for (int r = 0; r < a.rows; r++) mine[r * blockDim.x] = 0.f;
    const act* dy = a.dy + from * a.channels + channel;
    for (i64 p = from; p < to; p += RowAhead, dy += (i64)RowAhead * a.channels)
    {
        float v[RowAhead];
        int row[RowAhead];
        #pragma unroll
        for (int u = 0; u < RowAhead; u++)
        {
            bool has = p + u < to;
            row[u] = has ? a.tracks[p + u] & (a.rows - 1) : 0;
            v[u] = has ? to_float(dy[(i64)u * a.channels]) : 0.f;
        }
        #pragma unroll
        for (int u = 0; u < RowAhead; u++) mine[row[u] * blockDim.x] += v[u];
    }
    float* part = a.parts + (i64)share * a.rows * a.channels + channel;
    for (int r = 0; r < a.rows; r++) part[(i64)r * a.channels] = mine[r * blockDim.x];
}
