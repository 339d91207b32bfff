// Mean over the valid positions of every sequence. A block adds up one part of a sequence, 256 positions of 32 V channels; a second kernel adds the parts up
// in their order. Which positions make a part depends on the sequence's own length alone, not on what it is batched with.
#include "orthrus.cuh"

struct PoolArgs
{
    const act* x;         // (B, L, D)
    const void* lengths;  // (B), integers of length_bytes
    float* parts;         // (B, parts of a sequence, D)
    float* y;             // (B, D)
    i32 batch, length, channels, length_bytes, blocks; // blocks: parts of a sequence of L positions
};

struct PoolGradArgs
{
    const float* dy;      // (B, D)
    const void* lengths;
    act* dx;              // (B, L, D)
    i32 batch, length, channels, length_bytes, blocks;
};

const int PerPart = 256, Warps = 8, Ahead = 8;

DEVICE i64 length_of(const void* lengths, int bytes, int b) { return bytes == 1 ? ((const u8*)lengths)[b] : bytes == 4 ? ((const i32*)lengths)[b] : ((const i64*)lengths)[b]; }

// A warp's channels and positions: 32 in a row of each part.
template <int V> struct Slice
{
    int sequence, block, channel, from, to;
    i64 length;
    bool has;

    template <class A> __device__ __forceinline__ Slice(const A& a)
    {
        int groups = (a.channels + 32 * V - 1) / (32 * V), rest = blockIdx.x / groups;
        channel = (blockIdx.x - rest * groups) * 32 * V + (threadIdx.x & 31) * V;
        sequence = rest / a.blocks;
        block = rest - sequence * a.blocks;
        from = block * PerPart + (threadIdx.x >> 5) * (PerPart / Warps);
        to = min(from + PerPart / Warps, a.length);
        length = length_of(a.lengths, a.length_bytes, sequence);
        has = channel < a.channels;
    }
};

template <int V> DEVICE void forward(const PoolArgs& a)
{
    __shared__ float room[Warps / 2 * 32 * V];
    Slice<V> slice(a);
    if ((i64)slice.block * PerPart >= slice.length) return;
    int to = (int)min((i64)slice.to, slice.length);
    const act* x = a.x + (i64)slice.sequence * a.length * a.channels + slice.channel;
    float sums[V];
    #pragma unroll
    for (int i = 0; i < V; i++) sums[i] = 0.f;
    for (int t = slice.from; t < to; t += Ahead)
    {
        Raw<act, V> rows[Ahead];
        #pragma unroll
        for (int u = 0; u < Ahead; u++)
        {
            rows[u] = {};
            if (slice.has && t + u < to) rows[u] = fetch<V>(x + (i64)(t + u) * a.channels);
        }
        #pragma unroll
        for (int u = 0; u < Ahead; u++)
        {
            float v[V];
            unpack(rows[u], v);
            #pragma unroll
            for (int i = 0; i < V; i++) sums[i] += v[i];
        }
    }
    fold_warps(sums, room);
    if (threadIdx.x < 32 && slice.has) store(a.parts + ((i64)slice.sequence * a.blocks + slice.block) * a.channels + slice.channel, sums);
}

ORTHRUS_KERNEL pool_forward(const PoolArgs a) { forward<4>(a); }
ORTHRUS_KERNEL pool_forward_single(const PoolArgs a) { forward<1>(a); }

ORTHRUS_KERNEL pool_mean(const PoolArgs a)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.batch * a.channels) return;
    int b = i / a.channels, d = i - b * a.channels;
    i64 length = length_of(a.lengths, a.length_bytes, b);
    int parts = length > 0 ? (int)((min(length, (i64)a.length) + PerPart - 1) / PerPart) : 0;
    const float* part = a.parts + (i64)b * a.blocks * a.channels + d;
    float sum = 0.f;
    #pragma unroll 4
    for (int p = 0; p < parts; p++) sum += part[(i64)p * a.channels];
    // There is no mean over nothing, nor over less.
    a.y[i] = length > 0 ? sum / (float)length : __int_as_float(0x7fffffff);
}

template <int V> DEVICE void backward(const PoolGradArgs& a)
{
    Slice<V> slice(a);
    if (!slice.has) return;
    float dy[V], zero[V];
    load(a.dy + (i64)slice.sequence * a.channels + slice.channel, dy);
    float length = (float)slice.length;
    #pragma unroll
    for (int i = 0; i < V; i++)
    {
        dy[i] = dy[i] / length;
        zero[i] = 0.f;
    }
    act* dx = a.dx + (i64)slice.sequence * a.length * a.channels + slice.channel;
    #pragma unroll 4
    for (int t = slice.from; t < slice.to; t++)
    {
        if (t < slice.length) store(dx + (i64)t * a.channels, dy);
        else store(dx + (i64)t * a.channels, zero);
    }
}

ORTHRUS_KERNEL pool_backward(const PoolGradArgs a) { backward<4>(a); }
ORTHRUS_KERNEL pool_backward_single(const PoolGradArgs a) { backward<1>(a); }
