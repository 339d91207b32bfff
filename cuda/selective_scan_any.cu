// Selective scan (selective_scan.cu) with any number of states up to 256: a warp has one channel, a lane every 32nd state. Not fast: models have 16.
#include "selective_scan.cuh"

const int Most = 8; // states of a lane

struct Channel
{
    float a[Most], bias, skip;
    template <class Args> __device__ __forceinline__ void read(const Args& p, int e, bool live)
    {
        #pragma unroll
        for (int s = 0; s < Most; s++)
        {
            const int n = (threadIdx.x & 31) + 32 * s;
            a[s] = live && n < p.N ? decay_rate(p, e, n) : 0.f;
        }
        bias = live && p.bias ? p.bias[e] : 0.f;
        skip = live && p.d ? p.d[e] : 0.f;
    }
};

// h[t] from h[t - 1].
DEVICE void advance(const Channel& channel, float d, float v, const act* b, int N, float (&h)[Most])
{
    #pragma unroll
    for (int s = 0; s < Most; s++)
    {
        const int n = (threadIdx.x & 31) + 32 * s;
        if (n < N) h[s] = fmaf(exp2_fast(d * channel.a[s]), h[s], v * to_float(b[n]));
    }
}

ORTHRUS_KERNEL __launch_bounds__(128) selective_scan_forward_any(const ScanArgs p)
{
    const int lane = threadIdx.x & 31, e = blockIdx.x * 4 + (threadIdx.x >> 5), batch = blockIdx.y, N = p.N, tiles = (p.L + Tile - 1) / Tile;
    if (e >= p.E) return;
    Channel channel;
    channel.read(p, e, true);
    float h[Most];
    const i64 states = ((i64)batch * p.E + e) * N;
    #pragma unroll
    for (int s = 0; s < Most; s++) h[s] = p.initial && lane + 32 * s < N ? p.initial[states + lane + 32 * s] : 0.f;
    for (int t = 0; t < p.L; t++)
    {
        if (p.starts && t % Tile == 0)
            #pragma unroll
            for (int s = 0; s < Most; s++)
                if (lane + 32 * s < N) p.starts[(((i64)batch * tiles + t / Tile) * p.E + e) * N + lane + 32 * s] = h[s];
        const i64 row = (i64)batch * p.L + t, at = row * p.E + e;
        const float u = to_float(p.u[at]), d = scan_softplus(to_float(p.delta[at]) + channel.bias);
        advance(channel, d, d * u, p.b + row * N, N, h);
        float y = 0.f;
        #pragma unroll
        for (int s = 0; s < Most; s++)
            if (lane + 32 * s < N) y = fmaf(to_float(p.c[row * N + lane + 32 * s]), h[s], y);
        y = warp_sum(y);
        if (p.d) y = fmaf(channel.skip, u, y);
        if (p.z)
        {
            const float z = to_float(p.z[at]);
            y *= z * gate_sigmoid(z);
        }
        if (lane == 0) p.y[at] = to_act(y);
    }
    #pragma unroll
    for (int s = 0; s < Most; s++)
        if (lane + 32 * s < N) p.state[states + lane + 32 * s] = h[s];
}

// Dynamic shared memory: 15 N floats a warp: states every four steps of a tile, states of four steps, shares of dB and dC of a step.
ORTHRUS_KERNEL __launch_bounds__(256, 1) selective_scan_backward_any(const ScanGradArgs p)
{
    const int warps = blockDim.x >> 5, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, e = blockIdx.x * warps + warp, batch = blockIdx.y, N = p.N, tiles = (p.L + Tile - 1) / Tile;
    const bool live = e < p.E;
    float *kept = shared + warp * 13 * N + lane, *was = kept + 8 * N, *shares = shared + warps * 13 * N;
    Channel channel;
    channel.read(p, e, live);
    float q[Most], da[Most], dd = 0.f, dbias = 0.f;
    const i64 states = ((i64)batch * p.E + e) * N + lane;
    #pragma unroll
    for (int s = 0; s < Most; s++)
    {
        q[s] = live && p.dstate && lane + 32 * s < N ? p.dstate[states + 32 * s] : 0.f;
        da[s] = 0.f;
    }
    for (int tile = tiles - 1; tile >= 0; tile--)
    {
        const int t0 = tile * Tile, groups = (min(Tile, p.L - t0) + 3) / 4;
        float h[Most];
        #pragma unroll
        for (int s = 0; s < Most; s++) h[s] = live && lane + 32 * s < N ? p.starts[(((i64)batch * tiles + tile) * p.E + e) * N + lane + 32 * s] : 0.f;
        auto forward = [&](int t)
        {
            const i64 row = (i64)batch * p.L + t, at = row * p.E + e;
            const float d = live ? scan_softplus(to_float(p.delta[at]) + channel.bias) : 0.f, v = live ? d * to_float(p.u[at]) : 0.f;
            advance(channel, d, v, p.b + row * N, N, h);
        };
        auto keep = [&](float* to)
        {
            #pragma unroll
            for (int s = 0; s < Most; s++)
                if (lane + 32 * s < N) to[32 * s] = h[s];
        };
        for (int f = 0; f < groups; f++)
        {
            keep(kept + f * N);
            if (f < groups - 1)
                for (int k = 0; k < 4; k++) forward(t0 + 4 * f + k);
        }
        for (int f = groups - 1; f >= 0; f--)
        {
            const int first = t0 + 4 * f, steps = min(4, p.L - first);
            #pragma unroll
            for (int s = 0; s < Most; s++)
                if (lane + 32 * s < N) h[s] = kept[f * N + 32 * s];
            for (int k = 0; k < steps; k++)
            {
                keep(was + k * N);
                forward(first + k);
            }
            keep(was + steps * N);
            for (int k = steps - 1; k >= 0; k--)
            {
                const i64 row = (i64)batch * p.L + first + k, at = row * p.E + e;
                float x = 0.f, d = 0.f, u = 0.f, z = 0.f, dy = 0.f;
                if (live)
                {
                    x = to_float(p.delta[at]) + channel.bias;
                    d = scan_softplus(x);
                    u = to_float(p.u[at]);
                    if (p.z) z = to_float(p.z[at]);
                    if (p.dy) dy = to_float(p.dy[at]);
                }
                const float near = reciprocal(1.f + exp2_fast(fabsf(z) * -Log2E)), far = exp2_fast(fabsf(z) * -Log2E) * near, open = z >= 0.f ? near : far, shut = z >= 0.f ? far : near;
                const float g = p.z ? dy * (z * open) : dy, v = d * u;
                float s1 = 0.f, s2 = 0.f, y = 0.f;
                #pragma unroll
                for (int s = 0; s < Most; s++)
                {
                    const int n = lane + 32 * s;
                    if (n >= N) continue;
                    const float b = to_float(p.b[row * N + n]), c = to_float(p.c[row * N + n]), now = was[(k + 1) * N + 32 * s], before = was[k * N + 32 * s];
                    const float gradient = fmaf(g, c, q[s]);
                    shares[warp * 2 * N + n] = live ? gradient * v : 0.f;
                    shares[warp * 2 * N + N + n] = live ? g * now : 0.f;
                    s1 = fmaf(gradient, b, s1);
                    y = fmaf(c, now, y);
                    q[s] = gradient * exp2_fast(d * channel.a[s]);
                    const float w = q[s] * before;
                    s2 = fmaf(channel.a[s], w, s2);
                    da[s] = fmaf(d, w, da[s]);
                }
                s1 = warp_sum(s1);
                s2 = warp_sum(s2);
                y = warp_sum(y);
                const float ddelta = fmaf(u, s1, Ln2 * s2) * gate_sigmoid(x);
                dd = fmaf(g, u, dd);
                dbias += ddelta;
                if (live && lane == 0)
                {
                    if (p.du) p.du[at] = to_act(p.d ? fmaf(d, s1, channel.skip * g) : d * s1);
                    if (p.ddelta) p.ddelta[at] = to_act(ddelta);
                    if (p.dz) p.dz[at] = to_act(dy * (p.d ? fmaf(channel.skip, u, y) : y) * open * fmaf(z, shut, 1.f));
                }
                __syncthreads();
                for (int i = threadIdx.x; i < 2 * N; i += blockDim.x)
                {
                    float sum = 0.f;
                    for (int w = 0; w < warps; w++) sum += shares[w * 2 * N + i];
                    p.partial[(((i64)blockIdx.x * p.B + batch) * p.L + first + k) * 2 * N + i] = sum;
                }
                __syncthreads();
            }
        }
    }
    if (!live) return;
    #pragma unroll
    for (int s = 0; s < Most; s++)
        if (lane + 32 * s < N)
        {
            p.da[states + 32 * s] = p.plain ? da[s] : da[s] * (channel.a[s] * Ln2);
            if (p.dinitial) p.dinitial[states + 32 * s] = q[s];
        }
    if (lane == 0)
    {
        p.dd[(i64)batch * p.E + e] = dd;
        p.dbias[(i64)batch * p.E + e] = dbias;
    }
}
