// Selective scan: h[t] = exp(d[t] A) h[t-1] + d[t] u[t] B[t], y[t] = (C[t] h[t] + D u[t]) silu(z[t]), d = softplus(delta + bias).
//
// Recurrences run in registers, one after the other in time; states are float. Kernels for 16 states, which is what models have, walk time in tiles of
// 32 steps: whatever belongs to one (step, channel) is computed once, by the thread that loads it, and passed through shared memory to the four lanes that
// hold the channel's states. Every sum has one fixed order.
//
// Long sequences are cut into chunks of a length that depends on the sequence alone. A chunk is run from a state of zero, which gives its end state and
// the sum of its d; the state at its start is that of the chunk before, decayed over that sum, plus that end state. One kernel does both in one pass
// (chained); or one kernel finds the ends of all chunks at once and another runs all chunks at once from the starts which that gives. Both evaluate the
// same expressions in the same order, so that the bits do not tell which it was: a sequence's results do not depend on its batch.
#include "orthrus.cuh"

struct ScanArgs
{
    const act *u, *delta, *b, *c, *z;
    const float *a, *d, *bias, *initial;
    act* y;
    float *state, *starts; // starts: states at the start of every tile, [B][tiles][E][16], for backward
    float *ends, *sums;    // of chunks: [B][chunks][E][16], [B][chunks][E]
    i32 B, L, E, N;
    i32 chunk, chunks, plain, unused; // chunk: steps, a multiple of Tile
};

const int Tile = 32;

extern __shared__ __align__(16) float shared[];

// ---- One (step, channel) ----------------------------------------------------------------------------------------------------------------------------------

DEVICE float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// log(1 + exp(x)) and its slope, the sigmoid. The polynomial is log1p(s) / s, off by 3e-8: small results keep their digits. Above 20 the product vanishes beside x, as it should.
DEVICE float scan_softplus(float x, float& slope)
{
    float s = exp2_fast(fabsf(x) * -Log2E), near = reciprocal(1.f + s);
    slope = x >= 0.f ? near : s * near;
    float p = fmaf(0.005232691299170256f, s, -0.029505226761102676f);
    p = fmaf(p, s, 0.07822593301534653f);
    p = fmaf(p, s, -0.13663244247436523f);
    p = fmaf(p, s, 0.19106006622314453f);
    p = fmaf(p, s, -0.2484298199415207f);
    p = fmaf(p, s, 0.3331909775733948f);
    p = fmaf(p, s, -0.4999949336051941f);
    p = fmaf(p, s, 0.9999999403953552f);
    return fmaf(s, p, fmaxf(x, 0.f));
}

DEVICE float scan_softplus(float x)
{
    float slope;
    return scan_softplus(x, slope);
}

// 1 / (1 + exp(-x)); exp overflows to a result of 0, as it should.
DEVICE float gate_sigmoid(float x) { return reciprocal(1.f + exp2_fast(x * -Log2E)); }

// A log2 e. Held finite, so that a d of 0 leaves a decay of 1; NaN stays.
template <class Args> DEVICE float decay_rate(const Args& p, int e, int n)
{
    float a = p.a[(i64)e * p.N + n];
    a = (p.plain ? a : -expf(a)) * Log2E;
    return a < -3e38f ? -3e38f : a;
}

// Two channels side by side.
#ifdef ORTHRUS_BF16
typedef u32 Pair;
DEVICE float first(Pair x) { return low_bf16(x); }
DEVICE float second(Pair x) { return high_bf16(x); }
DEVICE Pair pair_of(act x, act y) { return x.bits | (u32)y.bits << 16; }
DEVICE Pair pair_of(float x, float y) { return to_bf16x2(x, y); }
DEVICE act lower(Pair x) { act y; y.bits = (u16)x; return y; }
DEVICE act upper(Pair x) { act y; y.bits = (u16)(x >> 16); return y; }
#else
typedef float2 Pair;
DEVICE float first(Pair x) { return x.x; }
DEVICE float second(Pair x) { return x.y; }
DEVICE Pair pair_of(float x, float y) { return make_float2(x, y); }
DEVICE act lower(Pair x) { return x.x; }
DEVICE act upper(Pair x) { return x.y; }
#endif

DEVICE bool aligned(const void* p, int bytes) { return ((u64)p & (bytes - 1)) == 0; }

// Which of a thread's two channels exist, and whether both can be moved at once.
struct Columns
{
    bool one, two, together;
    DEVICE Columns of(int e, int E, bool even)
    {
        Columns c;
        c.one = e < E;
        c.two = e + 1 < E;
        c.together = c.two && even;
        return c;
    }
    __device__ __forceinline__ Columns where(bool row) const
    {
        Columns c = *this;
        if (!row) c.one = c.two = c.together = false;
        return c;
    }
};

DEVICE Pair load_pair(const act* p, Columns at, float missing)
{
    if (at.together) return *(const Pair*)p;
    act none = to_act(missing);
    return pair_of(at.one ? p[0] : none, at.two ? p[1] : none);
}

DEVICE void store_pair(act* p, Columns at, Pair x)
{
    if (at.together) *(Pair*)p = x;
    else
    {
        if (at.one) p[0] = lower(x);
        if (at.two) p[1] = upper(x);
    }
}

// Eight numbers of B or C, as loaded.
#ifdef ORTHRUS_BF16
struct Eight { uint4 x; };
DEVICE void unpack(const Eight& e, float4& low, float4& high)
{
    low = make_float4(low_bf16(e.x.x), high_bf16(e.x.x), low_bf16(e.x.y), high_bf16(e.x.y));
    high = make_float4(low_bf16(e.x.z), high_bf16(e.x.z), low_bf16(e.x.w), high_bf16(e.x.w));
}
DEVICE Eight load_eight(const act* p, bool exists, bool wide)
{
    Eight e;
    if (!exists) e.x = make_uint4(0, 0, 0, 0);
    else if (wide) e.x = *(const uint4*)p;
    else e.x = make_uint4(pair_of(p[0], p[1]), pair_of(p[2], p[3]), pair_of(p[4], p[5]), pair_of(p[6], p[7]));
    return e;
}
#else
struct Eight { float4 x, y; };
DEVICE void unpack(const Eight& e, float4& low, float4& high) { low = e.x; high = e.y; }
DEVICE Eight load_eight(const act* p, bool exists, bool wide)
{
    Eight e;
    if (!exists) e.x = e.y = make_float4(0.f, 0.f, 0.f, 0.f);
    else if (wide) { e.x = *(const float4*)p; e.y = *(const float4*)(p + 4); }
    else { e.x = make_float4(p[0], p[1], p[2], p[3]); e.y = make_float4(p[4], p[5], p[6], p[7]); }
    return e;
}
#endif

DEVICE float4& quad_at(float* p) { return *(float4*)p; }

// ---- Forward, 16 states -----------------------------------------------------------------------------------------------------------------------------------
//
// 128 threads, 32 channels. As loader a thread has two neighbouring channels and four steps; as worker a lane has four states of one channel. Channels
// stand in rows, the even ones first, so that both views meet every bank once.

enum Regime { Straight, Chained, EndsOnly, StartsOnly };

const int ForwardRow = 36;                        // steps of a row, padded
const int QuadPlane = 32 * ForwardRow + 8;        // y of one quarter of the states
const int StatePlane = Tile * 4 + 8;              // B or C of one quarter of the states

// A tile's steps of four states, in registers. WithY: y's share goes to shared memory. WithEnd: a second state goes along, from the chunk's start.
template <bool WithY, bool WithEnd>
DEVICE void walk_tile(const float* d, const float* v, const float* b, const float* c, float* y, const float (&a)[4], float (&h)[4], float (&end)[4])
{
    #pragma unroll 2
    for (int q = 0; q < Tile; q += 8)
    {
        #pragma unroll
        for (int r = 0; r < 8; r += 4)
        {
            const float4 d4 = *(const float4*)(d + q + r), v4 = *(const float4*)(v + q + r);
            const float ds[4] = {d4.x, d4.y, d4.z, d4.w}, vs[4] = {v4.x, v4.y, v4.z, v4.w};
            float ys[4];
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                const float4 b4 = *(const float4*)(b + 4 * (q + r + k));
                const float bs[4] = {b4.x, b4.y, b4.z, b4.w};
                #pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    float decay = exp2_fast(ds[k] * a[j]), drive = vs[k] * bs[j];
                    h[j] = fmaf(decay, h[j], drive);
                    if (WithEnd) end[j] = fmaf(decay, end[j], drive);
                }
                if (WithY)
                {
                    const float4 c4 = *(const float4*)(c + 4 * (q + r + k));
                    ys[k] = fmaf(c4.w, h[3], fmaf(c4.z, h[2], fmaf(c4.y, h[1], c4.x * h[0])));
                }
            }
            if (WithY) quad_at(y + q + r) = make_float4(ys[0], ys[1], ys[2], ys[3]);
        }
    }
}

template <Regime R> DEVICE void forward(const ScanArgs& p)
{
    float *sd = shared, *sv = sd + 32 * ForwardRow, *sy = sv + 32 * ForwardRow, *sb = sy + 4 * QuadPlane, *sc = sb + 4 * StatePlane;
    const bool outputs = R == Straight || R == Chained, pieces = R == Straight || R == EndsOnly;
    const int tid = threadIdx.x, lane = tid & 31, E = p.E, batch = blockIdx.y, piece = pieces ? blockIdx.z : 0;
    const int from = piece * p.chunk, to = pieces ? min(p.L, from + p.chunk) : p.L;

    // As worker.
    const int quad = lane & 3, row = 8 * (tid >> 5) + (lane >> 2), mine = blockIdx.x * 32 + 2 * (row & 15) + (row >> 4), n0 = 4 * quad;
    const bool live = mine < E;
    float a[4], h[4], start[4], end[4]; // chained: start and end of the chunk, the latter from a state of zero
    #pragma unroll
    for (int j = 0; j < 4; j++)
    {
        a[j] = live ? decay_rate(p, mine, n0 + j) : 0.f;
        h[j] = R != EndsOnly && live && p.initial ? p.initial[((i64)batch * E + mine) * 16 + n0 + j] : 0.f;
        start[j] = h[j];
        end[j] = 0.f;
    }
    if (R == Straight && live)
        for (int k = 0; k < piece; k++)
        {
            i64 at = ((i64)batch * p.chunks + k) * E + mine;
            float sum = p.sums[at];
            float4 e = *(const float4*)(p.ends + at * 16 + n0);
            h[0] = fmaf(exp2_fast(sum * a[0]), h[0], e.x);
            h[1] = fmaf(exp2_fast(sum * a[1]), h[1], e.y);
            h[2] = fmaf(exp2_fast(sum * a[2]), h[2], e.z);
            h[3] = fmaf(exp2_fast(sum * a[3]), h[3], e.w);
        }

    // As loader.
    const int pair = tid & 15, t4 = 4 * (tid >> 4), e0 = blockIdx.x * 32 + 2 * pair;
    const bool gated = p.z != nullptr, skips = p.d != nullptr;
    const bool even = (E & 1) == 0 && aligned(p.u, sizeof(Pair)) && aligned(p.delta, sizeof(Pair)) && aligned(p.z, sizeof(Pair)) && aligned(p.y, sizeof(Pair));
    const bool whole = even && blockIdx.x * 32 + 32 <= E;
    const Columns columns = Columns::of(e0, E, even);
    const float bias0 = p.bias && columns.one ? p.bias[e0] : 0.f, bias1 = p.bias && columns.two ? p.bias[e0 + 1] : 0.f;
    const float skip0 = skips && columns.one ? p.d[e0] : 0.f, skip1 = skips && columns.two ? p.d[e0 + 1] : 0.f;
    const i64 origin = ((i64)batch * p.L + from + t4) * E + e0;
    const act *pu = p.u + origin, *pd = p.delta + origin, *pz = p.z + origin;
    act* py = p.y + origin;
    const bool loads_c = tid >= 64, loads_bc = outputs || tid < 64, wide = aligned(loads_c ? p.c : p.b, 16);
    const int bt = (tid & 63) >> 1, half = tid & 1;
    const act* pbc = (loads_c ? p.c : p.b) + ((i64)batch * p.L + from + bt) * 16 + 8 * half;
    float* const bc_to = (loads_c ? sc : sb) + 2 * half * StatePlane + 4 * bt;
    float sum0 = 0.f, sum1 = 0.f;

    Pair rd[4], ru[4], rz[4];
    Eight rbc;
    auto load = [&](int t)
    {
        if (whole && t + Tile <= to)
        {
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                rd[k] = *(const Pair*)(pd + k * E);
                ru[k] = *(const Pair*)(pu + k * E);
                if (outputs && gated) rz[k] = *(const Pair*)(pz + k * E);
            }
            if (loads_bc) rbc = load_eight(pbc, true, wide);
            return;
        }
        #pragma unroll
        for (int k = 0; k < 4; k++)
        {
            const Columns at = columns.where(t + t4 + k < to);
            rd[k] = load_pair(pd + k * E, at, -__int_as_float(0x7f800000));
            ru[k] = load_pair(pu + k * E, at, 0.f);
            if (outputs && gated) rz[k] = load_pair(pz + k * E, at, 0.f);
        }
        if (loads_bc) rbc = load_eight(pbc, t + bt < to, wide);
    };
    if (from < to) load(from);

    float* const mine_d = sd + row * ForwardRow;
    float* const mine_v = sv + row * ForwardRow;
    float* const mine_y = sy + quad * QuadPlane + row * ForwardRow;
    const float *const mine_b = sb + quad * StatePlane, *const mine_c = sc + quad * StatePlane;
    i64 tile = (i64)batch * ((p.L + Tile - 1) / Tile) + from / Tile;
    int boundary = R == Chained ? p.chunk : to;
    bool closed = R != Chained || boundary >= to; // The last chunk's end is nobody's start.

    for (int t = from; t < to; t += Tile, tile++)
    {
        // Delta, delta u, B and C for the workers.
        #pragma unroll
        for (int s = 0; s < 2; s++)
        {
            float d[4], v[4];
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                d[k] = scan_softplus((s ? second(rd[k]) : first(rd[k])) + (s ? bias1 : bias0));
                v[k] = d[k] * (s ? second(ru[k]) : first(ru[k]));
                if (R == EndsOnly || (R == Chained && !closed)) (s ? sum1 : sum0) += d[k];
            }
            quad_at(sd + (pair + 16 * s) * ForwardRow + t4) = make_float4(d[0], d[1], d[2], d[3]);
            quad_at(sv + (pair + 16 * s) * ForwardRow + t4) = make_float4(v[0], v[1], v[2], v[3]);
        }
        if (loads_bc)
        {
            float4 low, high;
            unpack(rbc, low, high);
            quad_at(bc_to) = low;
            quad_at(bc_to + StatePlane) = high;
        }
        Pair ku[4], kz[4];
        #pragma unroll
        for (int k = 0; k < 4; k++) { ku[k] = ru[k]; kz[k] = rz[k]; }
        __syncthreads();

        // The next tile's loads are under way while this one is worked on.
        pd += (i64)Tile * E; pu += (i64)Tile * E; pz += (i64)Tile * E; pbc += Tile * 16;
        if (t + Tile < to) load(t + Tile);

        if (R == StartsOnly && live) *(float4*)(p.starts + (tile * E + mine) * 16 + n0) = make_float4(h[0], h[1], h[2], h[3]);
        if (R == Chained && !closed) walk_tile<true, true>(mine_d, mine_v, mine_b, mine_c, mine_y, a, h, end);
        else walk_tile<outputs, false>(mine_d, mine_v, mine_b, mine_c, mine_y, a, h, end);
        __syncthreads();

        if (outputs)
        {
            const bool full = whole && t + Tile <= to;
            float ys[2][4];
            #pragma unroll
            for (int s = 0; s < 2; s++)
            {
                const float* at = sy + (pair + 16 * s) * ForwardRow + t4;
                const float4 q0 = *(const float4*)at, q1 = *(const float4*)(at + QuadPlane), q2 = *(const float4*)(at + 2 * QuadPlane), q3 = *(const float4*)(at + 3 * QuadPlane);
                ys[s][0] = (q0.x + q1.x) + (q2.x + q3.x);
                ys[s][1] = (q0.y + q1.y) + (q2.y + q3.y);
                ys[s][2] = (q0.z + q1.z) + (q2.z + q3.z);
                ys[s][3] = (q0.w + q1.w) + (q2.w + q3.w);
            }
            if (skips)
                #pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    ys[0][k] = fmaf(skip0, first(ku[k]), ys[0][k]);
                    ys[1][k] = fmaf(skip1, second(ku[k]), ys[1][k]);
                }
            if (gated)
                #pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    ys[0][k] *= first(kz[k]) * gate_sigmoid(first(kz[k]));
                    ys[1][k] *= second(kz[k]) * gate_sigmoid(second(kz[k]));
                }
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                if (full) *(Pair*)(py + k * E) = pair_of(ys[0][k], ys[1][k]);
                else store_pair(py + k * E, columns.where(t + t4 + k < to), pair_of(ys[0][k], ys[1][k]));
            }
            py += (i64)Tile * E;
        }

        if (R == EndsOnly ? t + Tile >= to : R == Chained && !closed && t + Tile == boundary)
        {
            // The chunk's sum of d, from eight loaders a channel; y's partial sums are done with.
            if (R == Chained) __syncthreads();
            sy[(t4 >> 2) * 32 + pair] = sum0;
            sy[(t4 >> 2) * 32 + pair + 16] = sum1;
            __syncthreads();
            float sum = 0.f;
            #pragma unroll
            for (int k = 0; k < 8; k++) sum += sy[k * 32 + row];
            if (R == EndsOnly)
            {
                if (live)
                {
                    i64 at = ((i64)batch * p.chunks + piece) * E + mine;
                    *(float4*)(p.ends + at * 16 + n0) = make_float4(h[0], h[1], h[2], h[3]);
                    if (quad == 0) p.sums[at] = sum;
                }
            }
            else
            {
                #pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    h[j] = start[j] = fmaf(exp2_fast(sum * a[j]), start[j], end[j]);
                    end[j] = 0.f;
                }
                sum0 = sum1 = 0.f;
                boundary += p.chunk;
                closed = boundary >= to;
            }
        }
    }
    if (outputs && live && (R == Chained || piece == p.chunks - 1))
        #pragma unroll
        for (int j = 0; j < 4; j++) p.state[((i64)batch * E + mine) * 16 + n0 + j] = h[j];
}

ORTHRUS_KERNEL __launch_bounds__(128, 3) selective_scan_forward(const ScanArgs p) { forward<Straight>(p); }
ORTHRUS_KERNEL __launch_bounds__(128, 2) selective_scan_chained(const ScanArgs p) { forward<Chained>(p); }
ORTHRUS_KERNEL __launch_bounds__(128) selective_scan_ends(const ScanArgs p) { forward<EndsOnly>(p); }
ORTHRUS_KERNEL __launch_bounds__(128) selective_scan_starts(const ScanArgs p) { forward<StartsOnly>(p); }

// ---- Backward, 16 states ----------------------------------------------------------------------------------------------------------------------------------
//
// Tiles from the last to the first. A warp has 16 channels; a lane four states of two neighbouring channels, so that whatever it reads of B and C serves
// both and their shares of dB and dC are added before they leave its registers. From the state at the tile's start it runs forward, keeping the state every
// four steps; then, four steps at a time, it runs forward once more with everything in registers and back. Per state and step, going back:
//   q += g C (g: gradient of y before the gate), dB += q d u, dC += g h[t], s1 += q B, q *= a, w = q h[t-1], s2 += A w, dA += d w
// and then du = d s1 + D g, ddelta = (u s1 + s2) sigmoid. Sums over the lanes of a warp go through its own piece of shared memory. A block leaves one sum of
// dB and dC over its channels; a second kernel adds those, and what is summed over sequences.

struct ScanGradArgs
{
    const act *u, *delta, *b, *c, *z, *dy;
    const float *a, *d, *bias, *dstate, *starts;
    act *du, *ddelta, *dz;
    float *dinitial;
    float *partial;         // dB and dC by groups of channels: [groups][B][L][2][N]
    float *da, *dd, *dbias; // by sequence: [B][E][N], [B][E], [B][E]
    i32 B, L, E, N;
    i32 plain, unused;
};

const int GradRow = 36;
const int SlotStride = 24;                  // between the channels of a warp: four quarters of the states, padded
const int StepPlane = 8 * SlotStride + 16;  // dB or dC of one step from 32 lanes
const int LanePlane = 8 * 4 + 16;           // a sum's shares from one lane of each channel
const int SumPlane = 4 * LanePlane;

template <int Warps> struct GradLayout
{
    enum
    {
        Threads = 32 * Warps, Channels = 16 * Warps, Pairs = 8 * Warps,
        Rows = Channels * GradRow, D = 0, V = Rows, G = 2 * Rows, Gate = 3 * Rows, Slope = 4 * Rows, S = 5 * Rows, Y = 6 * Rows, B = 7 * Rows, C = B + 4 * StatePlane,
        Kept = C + 4 * StatePlane, Steps = Kept + 7 * 2 * Threads * 4, Sums = Steps + Warps * 8 * StepPlane, Totals = Sums + Warps * 8 * SumPlane
    };
};

// A thread's two channels in eight steps.
DEVICE void load_rows(Pair (&to)[8], const act* from, int E, bool full, Columns columns, int rows, float missing)
{
    if (full)
        #pragma unroll
        for (int k = 0; k < 8; k++, from += E) to[k] = *(const Pair*)from;
    else
        #pragma unroll
        for (int k = 0; k < 8; k++, from += E) to[k] = load_pair(from, columns.where(k < rows), missing);
}

DEVICE void store_rows(act* to, const float (&x)[2][8], int E, bool full, Columns columns, int rows)
{
    if (full)
        #pragma unroll
        for (int k = 0; k < 8; k++, to += E) *(Pair*)to = pair_of(x[0][k], x[1][k]);
    else
        #pragma unroll
        for (int k = 0; k < 8; k++, to += E) store_pair(to, columns.where(k < rows), pair_of(x[0][k], x[1][k]));
}

// An address in shared memory that the compiler keeps in a register rather than computing it again wherever it is used.
DEVICE float* held(float* p)
{
    u32 address = (u32)__cvta_generic_to_shared(p);
    asm volatile("" : "+r"(address));
    return (float*)__cvta_shared_to_generic(address);
}

DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" :: "l"(p)); }

DEVICE float4 add4(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

template <int Warps> DEVICE void backward(const ScanGradArgs& p)
{
    typedef GradLayout<Warps> At;
    const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, E = p.E, L = p.L, batch = blockIdx.y, tiles = (L + Tile - 1) / Tile;

    // As worker.
    const int quad = lane >> 2 & 3, slot = (lane & 3) + 4 * (lane >> 4), row = 8 * warp + slot, mine = blockIdx.x * At::Channels + 2 * row, n0 = 4 * quad;
    float a[2][4], q[2][4], da[2][4];
    #pragma unroll
    for (int i = 0; i < 2; i++)
        #pragma unroll
        for (int j = 0; j < 4; j++)
        {
            const bool live = mine + i < E;
            a[i][j] = live ? decay_rate(p, mine + i, n0 + j) : 0.f;
            q[i][j] = live && p.dstate ? p.dstate[((i64)batch * E + mine + i) * 16 + n0 + j] : 0.f;
            da[i][j] = 0.f;
        }
    float* const kept = held(shared + At::Kept + 4 * tid);
    float* const mine_d = held(shared + At::D + row * GradRow); // other rows and the second channel at fixed distances
    float* const mine_b = held(shared + At::B + quad * StatePlane);
    // Sums over lanes: where this lane leaves its shares, and where it collects those of others.
    float* const steps = shared + At::Steps + warp * 8 * StepPlane;
    float* const sums = shared + At::Sums + warp * 8 * SumPlane;
    float* const step_out = held(steps + SlotStride * slot + 4 * quad);
    float* const step_in = held(steps + (lane >> 2) * StepPlane + 4 * (lane & 3));
    float* const share_out = held(sums + quad * LanePlane + 4 * slot);
    float* const share_in = held(sums + (lane >> 3) * SumPlane + 4 * (lane & 7));
    float* const total_out = held(shared + At::Totals + warp * 2 * Tile * 16 + (lane >> 4) * Tile * 16 + 4 * (lane & 15));
    float* const s_out = held(shared + (lane >= 16 ? At::S : At::V) + (((lane >> 3) & 1) * At::Pairs + 8 * warp + (lane & 7)) * GradRow);
    float* const y_out = held(shared + At::Y + (((lane >> 3) & 1) * At::Pairs + 8 * warp + (lane & 7)) * GradRow + 4 * (lane >> 4));

    // As loader.
    const int pair = tid % At::Pairs, t8 = 8 * (tid / At::Pairs), e0 = blockIdx.x * At::Channels + 2 * pair;
    const bool gated = p.z != nullptr, skips = p.d != nullptr, given = p.dy != nullptr;
    const bool even = (E & 1) == 0 && aligned(p.u, sizeof(Pair)) && aligned(p.delta, sizeof(Pair)) && aligned(p.z, sizeof(Pair)) && aligned(p.dy, sizeof(Pair))
        && aligned(p.du, sizeof(Pair)) && aligned(p.ddelta, sizeof(Pair)) && aligned(p.dz, sizeof(Pair));
    const bool whole = even && (blockIdx.x + 1) * At::Channels <= E;
    const Columns columns = Columns::of(e0, E, even);
    const float bias[2] = {p.bias && columns.one ? p.bias[e0] : 0.f, p.bias && columns.two ? p.bias[e0 + 1] : 0.f};
    const float skip[2] = {skips && columns.one ? p.d[e0] : 0.f, skips && columns.two ? p.d[e0 + 1] : 0.f};
    float dd[2] = {0.f, 0.f}, dbias[2] = {0.f, 0.f};
    const i64 rows = (i64)batch * L, origin = (rows + t8) * E + e0;
    const bool wide = aligned(p.b, 16) && aligned(p.c, 16);
    const float* start = p.starts + (((i64)batch * tiles + tiles - 1) * E + mine) * 16 + n0;

    for (int tile = tiles - 1; tile >= 0; tile--)
    {
        const int t = tile * Tile;
        const bool full = whole && t + Tile <= L;
        const i64 place = origin + (i64)t * E;
        const int left = L - t - t8;
        float* const own = shared + At::D + pair * GradRow + t8;
        {
            // What belongs to one (step, channel): for the workers d, d u and the gradient before the gate; for later the gate's and softplus' slopes.
            Pair x[8], u[8];
            float g[2][8], gate[2][8];
            load_rows(x, p.delta + place, E, full, columns, left, -__int_as_float(0x7f800000));
            load_rows(u, p.u + place, E, full, columns, left, 0.f);
            #pragma unroll
            for (int k = 0; k < 8; k++) g[0][k] = g[1][k] = 0.f;
            if (given)
            {
                Pair dy[8];
                load_rows(dy, p.dy + place, E, full, columns, left, 0.f);
                #pragma unroll
                for (int k = 0; k < 8; k++)
                {
                    g[0][k] = first(dy[k]);
                    g[1][k] = second(dy[k]);
                }
            }
            if (gated)
            {
                Pair z[8];
                load_rows(z, p.z + place, E, full, columns, left, 0.f);
                #pragma unroll
                for (int s = 0; s < 2; s++)
                    #pragma unroll
                    for (int k = 0; k < 8; k++)
                    {
                        // 1 - sigmoid without a difference.
                        const float x = s ? second(z[k]) : first(z[k]), e = exp2_fast(fabsf(x) * -Log2E), near = reciprocal(1.f + e), far = e * near;
                        const float open = g[s][k] * (x >= 0.f ? near : far), shut = x >= 0.f ? far : near;
                        gate[s][k] = open * fmaf(x, shut, 1.f);
                        g[s][k] = open * x;
                    }
            }
            #pragma unroll
            for (int s = 0; s < 2; s++)
                #pragma unroll
                for (int k = 0; k < 8; k += 4)
                {
                    float d[4], v[4], slope[4];
                    #pragma unroll
                    for (int r = 0; r < 4; r++)
                    {
                        d[r] = scan_softplus((s ? second(x[k + r]) : first(x[k + r])) + bias[s], slope[r]);
                        v[r] = d[r] * (s ? second(u[k + r]) : first(u[k + r]));
                    }
                    float* to = own + s * At::Pairs * GradRow + k;
                    quad_at(to + At::D) = make_float4(d[0], d[1], d[2], d[3]);
                    quad_at(to + At::V) = make_float4(v[0], v[1], v[2], v[3]);
                    quad_at(to + At::G) = make_float4(g[s][k], g[s][k + 1], g[s][k + 2], g[s][k + 3]);
                    quad_at(to + At::Slope) = make_float4(slope[0], slope[1], slope[2], slope[3]);
                    if (gated) quad_at(to + At::Gate) = make_float4(gate[s][k], gate[s][k + 1], gate[s][k + 2], gate[s][k + 3]);
                }
        }
        #pragma unroll
        for (int r = 0; r < 4 / Warps; r++)
        {
            const int i = tid + r * At::Threads, step = (i & 63) >> 1;
            float* to = shared + (i >= 64 ? At::C : At::B) + 2 * (i & 1) * StatePlane + 4 * step;
            float4 low, high;
            unpack(load_eight((i >= 64 ? p.c : p.b) + (rows + t + step) * 16 + 8 * (i & 1), t + step < L, wide), low, high);
            quad_at(to) = low;
            quad_at(to + StatePlane) = high;
        }
        float h[2][4];
        #pragma unroll
        for (int i = 0; i < 2; i++)
        {
            const float4 x = mine + i < E ? *(const float4*)(start + 16 * i) : make_float4(0.f, 0.f, 0.f, 0.f);
            h[i][0] = x.x; h[i][1] = x.y; h[i][2] = x.z; h[i][3] = x.w;
        }
        start -= (i64)E * 16;
        __syncthreads();

        // The next tile's operands come as near as the L2 cache while this one is worked on: a line of each row of four arrays, B, C and the states.
        if (tile > 0)
        {
            const int array = tid / (At::Threads / 4);
            const act* from = array == 0 ? p.delta : array == 1 ? p.u : array == 2 ? p.z : p.dy;
            if (from)
                for (int k = tid % (At::Threads / 4); k < Tile; k += At::Threads / 4) prefetch(from + (rows + t - Tile + k) * E + blockIdx.x * At::Channels);
            for (int k = tid; k < 2 * Tile; k += At::Threads) prefetch((k < Tile ? p.b : p.c) + (rows + t - Tile + k % Tile) * 16);
            if (quad == 0 && mine < E) prefetch(start);
        }

        // Forward, to the start of the last four steps.
        float *d_at = mine_d, *b_at = mine_b, *kept_at = kept;
        #pragma unroll 1
        for (int f = 0; f < Tile / 4 - 1; f++, d_at += 4, b_at += 16, kept_at += 8 * At::Threads)
        {
            float ds[2][4], vs[2][4];
            #pragma unroll
            for (int i = 0; i < 2; i++)
            {
                quad_at(kept_at + i * At::Threads * 4) = make_float4(h[i][0], h[i][1], h[i][2], h[i][3]);
                const float* from = d_at + i * At::Pairs * GradRow;
                const float4 d4 = *(const float4*)(from + At::D), v4 = *(const float4*)(from + At::V);
                ds[i][0] = d4.x; ds[i][1] = d4.y; ds[i][2] = d4.z; ds[i][3] = d4.w;
                vs[i][0] = v4.x; vs[i][1] = v4.y; vs[i][2] = v4.z; vs[i][3] = v4.w;
            }
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                const float4 b4 = quad_at(b_at + 4 * k);
                const float bs[4] = {b4.x, b4.y, b4.z, b4.w};
                #pragma unroll
                for (int i = 0; i < 2; i++)
                    #pragma unroll
                    for (int j = 0; j < 4; j++) h[i][j] = fmaf(exp2_fast(ds[i][k] * a[i][j]), h[i][j], vs[i][k] * bs[j]);
            }
        }

        float *total_at = total_out + (Tile / 4 - 1) * 64, *s_at = s_out + Tile - 4, *y_at = y_out + Tile - 8;
        #pragma unroll 1
        for (int f = Tile / 4 - 1; f >= 0; f--, d_at -= 4, b_at -= 16)
        {
            float ds[2][4], vs[2][4], gs[2][4], decay[4][2][4], was[5][2][4], bs[4][4];
            #pragma unroll
            for (int i = 0; i < 2; i++)
            {
                const float* from = d_at + i * At::Pairs * GradRow;
                const float4 d4 = *(const float4*)(from + At::D), v4 = *(const float4*)(from + At::V), g4 = *(const float4*)(from + At::G);
                ds[i][0] = d4.x; ds[i][1] = d4.y; ds[i][2] = d4.z; ds[i][3] = d4.w;
                vs[i][0] = v4.x; vs[i][1] = v4.y; vs[i][2] = v4.z; vs[i][3] = v4.w;
                gs[i][0] = g4.x; gs[i][1] = g4.y; gs[i][2] = g4.z; gs[i][3] = g4.w;
                #pragma unroll
                for (int j = 0; j < 4; j++) was[0][i][j] = h[i][j];
            }
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                const float4 b4 = quad_at(b_at + 4 * k);
                bs[k][0] = b4.x; bs[k][1] = b4.y; bs[k][2] = b4.z; bs[k][3] = b4.w;
                #pragma unroll
                for (int i = 0; i < 2; i++)
                    #pragma unroll
                    for (int j = 0; j < 4; j++)
                    {
                        decay[k][i][j] = exp2_fast(ds[i][k] * a[i][j]);
                        was[k + 1][i][j] = fmaf(decay[k][i][j], was[k][i][j], vs[i][k] * bs[k][j]);
                    }
            }
            float s1[2][4], s2[2][4], y[2][4];
            #pragma unroll
            for (int k = 3; k >= 0; k--)
            {
                const float4 c4 = quad_at(b_at + At::C - At::B + 4 * k);
                const float cs[4] = {c4.x, c4.y, c4.z, c4.w};
                float db[4], dc[4];
                #pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    #pragma unroll
                    for (int j = 0; j < 4; j++)
                    {
                        const float gradient = fmaf(gs[i][k], cs[j], q[i][j]);
                        db[j] = i ? fmaf(gradient, vs[i][k], db[j]) : gradient * vs[i][k];
                        dc[j] = i ? fmaf(gs[i][k], was[k + 1][i][j], dc[j]) : gs[i][k] * was[k + 1][i][j];
                        s1[i][k] = j ? fmaf(gradient, bs[k][j], s1[i][k]) : gradient * bs[k][j];
                        y[i][k] = j ? fmaf(cs[j], was[k + 1][i][j], y[i][k]) : cs[j] * was[k + 1][i][j];
                        q[i][j] = gradient * decay[k][i][j];
                        const float w = q[i][j] * was[k][i][j];
                        s2[i][k] = j ? fmaf(a[i][j], w, s2[i][k]) : a[i][j] * w;
                        da[i][j] = fmaf(ds[i][k], w, da[i][j]);
                    }
                }
                quad_at(step_out + k * StepPlane) = make_float4(db[0], db[1], db[2], db[3]);
                quad_at(step_out + (4 + k) * StepPlane) = make_float4(dc[0], dc[1], dc[2], dc[3]);
            }
            #pragma unroll
            for (int i = 0; i < 2; i++)
            {
                quad_at(share_out + i * SumPlane) = make_float4(s1[i][0], s1[i][1], s1[i][2], s1[i][3]);
                quad_at(share_out + (2 + i) * SumPlane) = make_float4(s2[i][0], s2[i][1], s2[i][2], s2[i][3]);
            }
            if (f & 1)
                #pragma unroll
                for (int i = 0; i < 2; i++) quad_at(share_out + (6 + i) * SumPlane) = make_float4(y[i][0], y[i][1], y[i][2], y[i][3]);
            else
                #pragma unroll
                for (int i = 0; i < 2; i++) quad_at(share_out + (4 + i) * SumPlane) = make_float4(y[i][0], y[i][1], y[i][2], y[i][3]);
            __syncwarp();
            // Eight lanes' shares of dB or dC of one step.
            float4 sum = quad_at(step_in);
            #pragma unroll
            for (int k = 1; k < 8; k++) sum = add4(sum, quad_at(step_in + SlotStride * k));
            quad_at(total_at) = sum;
            total_at -= 64;
            // Four lanes' shares of s1 or s2 of one channel; s1 takes the place of d u.
            quad_at(s_at) = add4(add4(quad_at(share_in), quad_at(share_in + LanePlane)), add4(quad_at(share_in + 2 * LanePlane), quad_at(share_in + 3 * LanePlane)));
            s_at -= 4;
            if ((f & 1) == 0)
            {
                // y of eight steps.
                float* const from = share_in + 4 * SumPlane;
                quad_at(y_at) = add4(add4(quad_at(from), quad_at(from + LanePlane)), add4(quad_at(from + 2 * LanePlane), quad_at(from + 3 * LanePlane)));
                y_at -= 8;
            }
            kept_at -= 8 * At::Threads;
            if (f > 0)
                #pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    const float4 x = quad_at(kept_at + i * At::Threads * 4);
                    h[i][0] = x.x; h[i][1] = x.y; h[i][2] = x.z; h[i][3] = x.w;
                }
            __syncwarp();
        }
        __syncthreads();

        {
            // Gradients of one (step, channel) each. Past the end everything that they are made of is 0, and so is D where it is absent.
            Pair u[8];
            float du[2][8], ddelta[2][8], dz[2][8];
            load_rows(u, p.u + place, E, full, columns, left, 0.f);
            #pragma unroll
            for (int s = 0; s < 2; s++)
                #pragma unroll
                for (int k = 0; k < 8; k += 4)
                {
                    float* from = own + s * At::Pairs * GradRow + k;
                    const float4 d4 = quad_at(from + At::D), v4 = quad_at(from + At::V), g4 = quad_at(from + At::G), p4 = quad_at(from + At::Slope), s4 = quad_at(from + At::S);
                    const float d[4] = {d4.x, d4.y, d4.z, d4.w}, s1[4] = {v4.x, v4.y, v4.z, v4.w}, g[4] = {g4.x, g4.y, g4.z, g4.w}, slope[4] = {p4.x, p4.y, p4.z, p4.w}, s2[4] = {s4.x, s4.y, s4.z, s4.w};
                    #pragma unroll
                    for (int r = 0; r < 4; r++)
                    {
                        const float x = s ? second(u[k + r]) : first(u[k + r]);
                        ddelta[s][k + r] = fmaf(x, s1[r], Ln2 * s2[r]) * slope[r];
                        du[s][k + r] = fmaf(d[r], s1[r], skip[s] * g[r]);
                        dd[s] = fmaf(g[r], x, dd[s]);
                        dbias[s] += ddelta[s][k + r];
                    }
                    if (gated)
                    {
                        const float4 y4 = quad_at(from + At::Y), z4 = quad_at(from + At::Gate);
                        const float y[4] = {y4.x, y4.y, y4.z, y4.w}, gate[4] = {z4.x, z4.y, z4.z, z4.w};
                        #pragma unroll
                        for (int r = 0; r < 4; r++) dz[s][k + r] = gate[r] * fmaf(skip[s], s ? second(u[k + r]) : first(u[k + r]), y[r]);
                    }
                }
            if (p.du) store_rows(p.du + place, du, E, full, columns, left);
            if (p.ddelta) store_rows(p.ddelta + place, ddelta, E, full, columns, left);
            if (p.dz) store_rows(p.dz + place, dz, E, full, columns, left);
        }
        #pragma unroll
        for (int r = 0; r < 2 * Tile * 4 / At::Threads; r++)
        {
            const int i = tid + r * At::Threads, step = (i & 127) >> 2;
            const float* from = shared + At::Totals + 4 * i;
            float4 sum = *(const float4*)from;
            #pragma unroll
            for (int k = 1; k < Warps; k++) sum = add4(sum, *(const float4*)(from + k * 2 * Tile * 16));
            if (t + step < L) *(float4*)(p.partial + ((((i64)blockIdx.x * p.B + batch) * L + t + step) * 2 + (i >> 7)) * 16 + 4 * (i & 3)) = sum;
        }
    }

    #pragma unroll
    for (int i = 0; i < 2; i++)
        if (mine + i < E)
            #pragma unroll
            for (int j = 0; j < 4; j++)
            {
                const i64 at = ((i64)batch * E + mine + i) * 16 + n0 + j;
                p.da[at] = p.plain ? da[i][j] : da[i][j] * (a[i][j] * Ln2);
                if (p.dinitial) p.dinitial[at] = q[i][j];
            }
    __syncthreads();
    // Four loaders a channel, in order.
    float* const room = shared;
    #pragma unroll
    for (int s = 0; s < 2; s++)
    {
        room[(2 * s) * At::Threads + tid] = dd[s];
        room[(2 * s + 1) * At::Threads + tid] = dbias[s];
    }
    __syncthreads();
    if (tid < At::Channels && blockIdx.x * At::Channels + tid < E)
    {
        const float* from = room + 2 * (tid & 1) * At::Threads + (tid >> 1);
        float sum_d = 0.f, sum_bias = 0.f;
        #pragma unroll
        for (int k = 0; k < 4; k++)
        {
            sum_d += from[k * At::Pairs];
            sum_bias += from[At::Threads + k * At::Pairs];
        }
        const i64 at = (i64)batch * E + blockIdx.x * At::Channels + tid;
        p.dd[at] = sum_d;
        p.dbias[at] = sum_bias;
    }
}

ORTHRUS_KERNEL __launch_bounds__(128) selective_scan_backward(const ScanGradArgs p) { backward<4>(p); }
ORTHRUS_KERNEL __launch_bounds__(64) selective_scan_backward_small(const ScanGradArgs p) { backward<2>(p); }
ORTHRUS_KERNEL __launch_bounds__(32) selective_scan_backward_least(const ScanGradArgs p) { backward<1>(p); }

// ---- Any number of states up to 256 -----------------------------------------------------------------------------------------------------------------------
//
// A warp has one channel, a lane every 32nd state. Not fast: models have 16.

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

// With starts, the states at the start of every tile are all that is written.
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
        if (p.starts) continue;
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
    if (!p.starts)
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

// ---- Sums over groups of channels and over sequences ------------------------------------------------------------------------------------------------------

struct ScanSumArgs
{
    const float* partial;
    act *db, *dc;
    const float *da, *dd, *dbias;
    float *to_a, *to_d, *to_bias;
    i32 B, L, E, N;
    i32 groups, unused;
};

// First row of blocks: B L 2 N numbers, in fours where N allows it. Second row: sums over sequences.
ORTHRUS_KERNEL __launch_bounds__(256) selective_scan_sums(const ScanSumArgs p)
{
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (blockIdx.y == 1)
    {
        const i64 states = (i64)p.E * p.N;
        if (p.to_a && i < states)
        {
            float sum = 0.f;
            for (int b = 0; b < p.B; b++) sum += p.da[b * states + i];
            p.to_a[i] = sum;
        }
        if (i >= p.E) return;
        float d = 0.f, bias = 0.f;
        for (int b = 0; b < p.B; b++)
        {
            d += p.dd[(i64)b * p.E + i];
            bias += p.dbias[(i64)b * p.E + i];
        }
        if (p.to_d) p.to_d[i] = d;
        if (p.to_bias) p.to_bias[i] = bias;
        return;
    }
    const i64 all = (i64)p.B * p.L * 2 * p.N;
    const int many = p.N % 4 == 0 ? 4 : 1;
    const i64 at = i * many;
    if (at >= all) return;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    if (many == 4)
        for (int g = 0; g < p.groups; g++) sum = add4(sum, *(const float4*)(p.partial + g * all + at));
    else
        for (int g = 0; g < p.groups; g++) sum.x += p.partial[g * all + at];
    const i64 row = at / (2 * p.N);
    const int within = (int)(at - row * 2 * p.N), n = within < p.N ? within : within - p.N;
    act* to = within < p.N ? p.db : p.dc;
    if (!to) return;
    to += row * p.N + n;
    to[0] = to_act(sum.x);
    if (many == 4)
    {
        to[1] = to_act(sum.y);
        to[2] = to_act(sum.z);
        to[3] = to_act(sum.w);
    }
}
