// Causal depthwise convolution and SiLU, forward and backward, for 2 to 4 taps: a warp walks along the positions of a tile with 32 V channels, the inputs that
// the taps still reach in registers, so that each number is read once (and K - 1 rows per tile again). Other numbers of taps take the plain kernels below.
#include "orthrus.cuh"

struct ConvArgs
{
    const act* x;         // (B, L, E)
    const float* weight;  // (E, K)
    const float* bias;    // (E), or null
    const float* initial; // (B, K - 1, E), or null
    act* y;
    float* state;         // (B, K - 1, E)
    i32 batch, length, channels, taps, linear;
    i32 rows;             // positions of a tile; a block takes as many tiles in sequence as it has warps
    i32 blocks;           // along one sequence
};

struct ConvGradArgs
{
    ConvArgs call;
    const act* dy;        // or null
    const float* dstate;  // or null
    act* dx;              // or null
    float* dinitial;      // or null
    float* parts;         // (batch x blocks, K + 1, E): gradients of taps and bias by block, or null
    float* slopes;        // (B, L, E): gradient before SiLU; of the plain kernels
};

// A thread's channels and positions.
template <int V> struct Tile
{
    int sequence, block, channel, from, to;
    bool has;

    __device__ __forceinline__ Tile(const ConvArgs& a)
    {
        int groups = (a.channels + 32 * V - 1) / (32 * V), rest = blockIdx.x / groups;
        channel = (blockIdx.x - rest * groups) * (32 * V) + (threadIdx.x & 31) * V;
        sequence = rest / a.blocks;
        block = rest - sequence * a.blocks;
        from = (block * (blockDim.x >> 5) + (threadIdx.x >> 5)) * a.rows;
        to = min(from + a.rows, a.length);
        // A sequence without positions has one empty tile: its state still moves.
        has = channel < a.channels && (from < a.length || from == 0);
    }
};

// Inputs at position t, at least 1 - K.
template <int V> DEVICE void input(const ConvArgs& a, int taps, int sequence, int channel, int t, float (&x)[V])
{
    if (t >= 0) load(a.x + ((i64)sequence * a.length + t) * a.channels + channel, x);
    else if (a.initial != nullptr) load(a.initial + ((i64)sequence * (taps - 1) + t + taps - 1) * a.channels + channel, x);
    else
    {
        #pragma unroll
        for (int i = 0; i < V; i++) x[i] = 0.f;
    }
}

// Taps and bias of a thread's channels. The taps of a channel lie together: the block reads them in their order and hands them over by tap.
template <int K, int V> struct Taps
{
    static const int Stride = 32 * V + 8; // 8: taps and channels of 32 lanes meet all banks
    float weight[K][V], bias[V];

    __device__ __forceinline__ Taps(const ConvArgs& a, int channel)
    {
        __shared__ float room[K * Stride];
        int first = channel - (threadIdx.x & 31) * V, count = min(32 * V, a.channels - first) * K;
        for (int i = threadIdx.x; i < count; i += blockDim.x) room[i % K * Stride + i / K] = a.weight[(i64)first * K + i];
        __syncthreads();
        if (channel >= a.channels) return;
        #pragma unroll
        for (int k = 0; k < K; k++) load(room + k * Stride + channel - first, weight[k]);
        #pragma unroll
        for (int i = 0; i < V; i++) bias[i] = 0.f;
        if (a.bias != nullptr) load(a.bias + channel, bias);
    }
    template <int R> __device__ __forceinline__ float convolve(const float (&x)[R][V], int row, int i) const
    {
        float v = bias[i];
        #pragma unroll
        for (int k = 0; k < K; k++) v = fmaf(x[row + k][i], weight[k][i], v);
        return v;
    }
};

// Rows of a tile that are read ahead of those that are computed.
const int Ahead = 4;

template <int V> DEVICE void fetch_rows(const act* x, i64 stride, int t, int end, Raw<act, V> (&rows)[Ahead])
{
    #pragma unroll
    for (int u = 0; u < Ahead; u++)
    {
        rows[u] = {};
        if (t + u < end) rows[u] = fetch<V>(x + (t + u) * stride);
    }
}

template <int K, int V> DEVICE void forward(const ConvArgs& a)
{
    Tile<V> tile(a);
    Taps<K, V> taps(a, tile.channel);
    if (!tile.has) return;
    i64 stride = a.channels, start = (i64)tile.sequence * a.length * stride + tile.channel;
    // Row K - 1 + u is that of the position under way.
    float x[K - 1 + Ahead][V];
    #pragma unroll
    for (int k = 0; k < K - 1; k++) input(a, K, tile.sequence, tile.channel, tile.from - K + 1 + k, x[k]);
    Raw<act, V> next[Ahead];
    fetch_rows(a.x + start, stride, tile.from, tile.to, next);
    for (int t = tile.from; t < tile.to; t += Ahead)
    {
        #pragma unroll
        for (int u = 0; u < Ahead; u++) unpack(next[u], x[K - 1 + u]);
        fetch_rows(a.x + start, stride, t + Ahead, tile.to, next);
        #pragma unroll
        for (int u = 0; u < Ahead; u++)
        {
            float y[V], complement;
            #pragma unroll
            for (int i = 0; i < V; i++)
            {
                y[i] = taps.convolve(x, u, i);
                if (a.linear == 0) y[i] *= sigmoid(y[i], complement);
            }
            if (t + u < tile.to) store(a.y + start + (t + u) * stride, y);
        }
        #pragma unroll
        for (int k = 0; k < K - 1; k++)
            #pragma unroll
            for (int i = 0; i < V; i++) x[k][i] = x[Ahead + k][i];
    }
    if (tile.to < a.length) return;
    #pragma unroll
    for (int k = 0; k < K - 1; k++)
    {
        float last[V];
        input(a, K, tile.sequence, tile.channel, a.length - K + 1 + k, last);
        store(a.state + ((i64)tile.sequence * (K - 1) + k) * stride + tile.channel, last);
    }
}

// With g the gradient before SiLU: dx[s] = sum over k of weight[k] g[s + K - 1 - k]. A tile finds g for its positions and the K - 1 after them, and so
// finishes its own dx; the first one also finishes the positions before the first, which are the initial state.
template <int K, int V> DEVICE void backward(const ConvGradArgs& a)
{
    __shared__ float room[4 * 32 * V * (K + 1)];
    const ConvArgs& c = a.call;
    Tile<V> tile(c);
    Taps<K, V> taps(c, tile.channel);
    float sums[(K + 1) * V];
    #pragma unroll
    for (int i = 0; i < (K + 1) * V; i++) sums[i] = 0.f;
    if (tile.has)
    {
        i64 stride = c.channels, start = (i64)tile.sequence * c.length * stride + tile.channel, carried = (i64)tile.sequence * (K - 1) * stride + tile.channel;
        int end = tile.to + K - 1, readable = a.dy != nullptr ? min(c.length, end) : 0;
        float x[K - 1 + Ahead][V], g[K - 1 + Ahead][V];
        #pragma unroll
        for (int k = 0; k < K - 1; k++)
        {
            input(c, K, tile.sequence, tile.channel, tile.from - K + 1 + k, x[k]);
            #pragma unroll
            for (int i = 0; i < V; i++) g[k][i] = 0.f;
        }
        Raw<act, V> next[Ahead], dnext[Ahead];
        fetch_rows(c.x + start, stride, tile.from, readable, next);
        fetch_rows(a.dy + start, stride, tile.from, readable, dnext);
        for (int t = tile.from; t < end; t += Ahead)
        {
            #pragma unroll
            for (int u = 0; u < Ahead; u++)
            {
                unpack(next[u], x[K - 1 + u]);
                unpack(dnext[u], g[K - 1 + u]);
            }
            fetch_rows(c.x + start, stride, t + Ahead, readable, next);
            fetch_rows(a.dy + start, stride, t + Ahead, readable, dnext);
            #pragma unroll
            for (int u = 0; u < Ahead; u++)
            {
                bool inside = t + u < readable, own = inside && t + u < tile.to;
                #pragma unroll
                for (int i = 0; i < V; i++)
                {
                    float d = g[K - 1 + u][i];
                    if (c.linear == 0)
                    {
                        float v = taps.convolve(x, u, i), complement, s = sigmoid(v, complement);
                        d = inside ? d * fmaf(v * s, complement, s) : 0.f;
                    }
                    g[K - 1 + u][i] = d;
                    if (own)
                    {
                        #pragma unroll
                        for (int k = 0; k < K; k++) sums[k * V + i] = fmaf(d, x[u + k][i], sums[k * V + i]);
                        sums[K * V + i] += d;
                    }
                }
                int s = t + u - K + 1;
                if (t + u >= end || (s < tile.from && tile.from > 0)) continue;
                float dx[V];
                #pragma unroll
                for (int i = 0; i < V; i++) dx[i] = 0.f;
                int row = s - (c.length - K + 1);
                if (row >= 0 && a.dstate != nullptr) load(a.dstate + carried + row * stride, dx);
                #pragma unroll
                for (int i = 0; i < V; i++)
                    #pragma unroll
                    for (int k = 0; k < K; k++) dx[i] = fmaf(g[u + K - 1 - k][i], taps.weight[k][i], dx[i]);
                if (s >= 0)
                {
                    if (a.dx != nullptr) store(a.dx + start + s * stride, dx);
                }
                else if (a.dinitial != nullptr) store(a.dinitial + carried + (s + K - 1) * stride, dx);
            }
            #pragma unroll
            for (int k = 0; k < K - 1; k++)
                #pragma unroll
                for (int i = 0; i < V; i++)
                {
                    x[k][i] = x[Ahead + k][i];
                    g[k][i] = g[Ahead + k][i];
                }
        }
    }
    if (a.parts == nullptr) return;
    fold_warps(sums, room);
    if (threadIdx.x >= 32 || tile.channel >= c.channels) return;
    float* part = a.parts + ((i64)tile.sequence * c.blocks + tile.block) * (K + 1) * c.channels + tile.channel;
    #pragma unroll
    for (int k = 0; k <= K; k++)
    {
        float sum[V];
        #pragma unroll
        for (int i = 0; i < V; i++) sum[i] = sums[k * V + i];
        store(part + (i64)k * c.channels, sum);
    }
}

#define CONV(name, K, V) \
    extern "C" __global__ void __launch_bounds__(128) conv_forward_##name(const ConvArgs a) { forward<K, V>(a); } \
    extern "C" __global__ void __launch_bounds__(256) conv_backward_##name(const ConvGradArgs a) { backward<K, V>(a); }

CONV(2, 2, 4)
CONV(3, 3, 4)
CONV(4, 4, 4)
CONV(2_single, 2, 1)
CONV(3_single, 3, 1)
CONV(4_single, 4, 1)

// ---- Any number of taps: a thread per number ------------------------------------------------------------------------------------------------------------

DEVICE float input(const ConvArgs& a, int sequence, int channel, int t)
{
    float x[1];
    input(a, a.taps, sequence, channel, t, x);
    return x[0];
}

// Rows of the sequence from position 1 - K on, or from 0: which this thread has.
struct Element
{
    int sequence, t, channel;

    __device__ __forceinline__ Element(i64 index, int rows, int channels)
    {
        i64 row = index / channels;
        channel = (int)(index - row * channels);
        sequence = (int)(row / rows);
        t = (int)(row - (i64)sequence * rows);
    }
};

DEVICE float convolve(const ConvArgs& a, const Element& at)
{
    float v = a.bias != nullptr ? a.bias[at.channel] : 0.f;
    for (int k = 0; k < a.taps; k++) v = fmaf(input(a, at.sequence, at.channel, at.t - a.taps + 1 + k), a.weight[(i64)at.channel * a.taps + k], v);
    return v;
}

// Rows 0 to L - 1 are those of y, the K - 1 after them those of the state.
ORTHRUS_KERNEL conv_forward_any(const ConvArgs a)
{
    int rows = a.length + a.taps - 1;
    i64 index = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (i64)a.batch * rows * a.channels) return;
    Element at(index, rows, a.channels);
    if (at.t < a.length)
    {
        float v = convolve(a, at), complement;
        a.y[((i64)at.sequence * a.length + at.t) * a.channels + at.channel] = to_act(a.linear != 0 ? v : v * sigmoid(v, complement));
    }
    else
    {
        int k = at.t - a.length;
        a.state[((i64)at.sequence * (a.taps - 1) + k) * a.channels + at.channel] = input(a, at.sequence, at.channel, at.t - a.taps + 1);
    }
}

ORTHRUS_KERNEL conv_slopes_any(const ConvGradArgs a)
{
    const ConvArgs& c = a.call;
    i64 index = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (i64)c.batch * c.length * c.channels) return;
    float d = to_float(a.dy[index]);
    if (c.linear == 0)
    {
        float v = convolve(c, Element(index, c.length, c.channels)), complement, s = sigmoid(v, complement);
        d *= fmaf(v * s, complement, s);
    }
    a.slopes[index] = d;
}

// Rows 0 to K - 2 are those of the initial state, the L after them those of dx.
ORTHRUS_KERNEL conv_inputs_any(const ConvGradArgs a)
{
    const ConvArgs& c = a.call;
    int before = c.taps - 1, rows = c.length + before;
    i64 index = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (i64)c.batch * rows * c.channels) return;
    Element at(index, rows, c.channels);
    int s = at.t - before, carried = at.t - c.length;
    float dx = carried >= 0 && a.dstate != nullptr ? a.dstate[((i64)at.sequence * before + carried) * c.channels + at.channel] : 0.f;
    if (a.slopes != nullptr)
        for (int k = 0; k < c.taps; k++)
        {
            int t = s + before - k;
            if (t >= 0 && t < c.length) dx = fmaf(a.slopes[((i64)at.sequence * c.length + t) * c.channels + at.channel], c.weight[(i64)at.channel * c.taps + k], dx);
        }
    if (s >= 0)
    {
        if (a.dx != nullptr) a.dx[((i64)at.sequence * c.length + s) * c.channels + at.channel] = to_act(dx);
    }
    else if (a.dinitial != nullptr) a.dinitial[((i64)at.sequence * before + at.t) * c.channels + at.channel] = dx;
}

// A thread per part, tap or bias, and channel.
ORTHRUS_KERNEL conv_parts_any(const ConvGradArgs a)
{
    const ConvArgs& c = a.call;
    i64 index = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (i64)c.batch * c.blocks * (c.taps + 1) * c.channels) return;
    Element at(index, c.taps + 1, c.channels);
    int part = at.sequence, k = at.t, sequence = part / c.blocks, from = (part - sequence * c.blocks) * c.rows, to = min(from + c.rows, c.length);
    float sum = 0.f;
    if (a.slopes != nullptr)
        for (int t = from; t < to; t++)
        {
            float g = a.slopes[((i64)sequence * c.length + t) * c.channels + at.channel];
            sum = k == c.taps ? sum + g : fmaf(g, input(c, sequence, at.channel, t - c.taps + 1 + k), sum);
        }
    a.parts[index] = sum;
}
