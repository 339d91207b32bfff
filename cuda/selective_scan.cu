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
#include "selective_scan.cuh"

// 128 threads, 32 channels. As loader a thread has two neighbouring channels and four steps; as worker a lane has four states of one channel. Channels
// stand in rows, the even ones first, so that both views meet every bank once.

enum Regime { Straight, Chained, EndsOnly };

const int ForwardRow = 36;                        // steps of a row, padded
const int QuadPlane = 32 * ForwardRow + 8;        // y of one quarter of the states

// C in shared memory, four states of each step.
template <bool Packed> struct Readout
{
    enum { Step = 4, Plane = StatePlane };
    DEVICE float4 at(const float* p) { return *(const float4*)p; }
    DEVICE void put(float* to, const Eight& e)
    {
        float4 low, high;
        unpack(e, low, high);
        quad_at(to) = low;
        quad_at(to + Plane) = high;
    }
};

#ifdef ORTHRUS_BF16
// BF16 as it came: unpacking at each reading costs less than the bandwidth of twice the bytes.
template <> struct Readout<true>
{
    enum { Step = 2, Plane = Tile * Step + 8 };
    DEVICE float4 at(const float* p)
    {
        const uint2 x = *(const uint2*)p;
        return make_float4(low_bf16(x.x), high_bf16(x.x), low_bf16(x.y), high_bf16(x.y));
    }
    DEVICE void put(float* to, const Eight& e)
    {
        *(uint2*)to = make_uint2(e.x.x, e.x.y);
        *(uint2*)(to + Plane) = make_uint2(e.x.z, e.x.w);
    }
};
#endif

// A tile's steps of four states, in registers. WithY: y's share goes to shared memory. WithEnd: a second state goes along, from the chunk's start.
template <class C, bool WithY, bool WithEnd>
DEVICE void walk_tile(const float* d, const float* b, const float* c, float* y, const float (&a)[4], float (&h)[4], float (&end)[4])
{
    const int Steps = 16; // of a turn
    #pragma unroll 1
    for (int q = 0; q < Tile; q += Steps, d += Steps, b += 4 * Steps, c += C::Step * Steps, y += Steps)
    {
        #pragma unroll
        for (int r = 0; r < Steps; r += 4)
        {
            const float4 d4 = *(const float4*)(d + r), v4 = *(const float4*)(d + 32 * ForwardRow + r);
            const float ds[4] = {d4.x, d4.y, d4.z, d4.w}, vs[4] = {v4.x, v4.y, v4.z, v4.w};
            float ys[4];
            #pragma unroll
            for (int k = 0; k < 4; k++)
            {
                const float4 b4 = *(const float4*)(b + 4 * (r + k));
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
                    const float4 c4 = C::at(c + C::Step * (r + k));
                    ys[k] = fmaf(c4.w, h[3], fmaf(c4.z, h[2], fmaf(c4.y, h[1], c4.x * h[0])));
                }
            }
            if (WithY) quad_at(y + r) = make_float4(ys[0], ys[1], ys[2], ys[3]);
        }
    }
}

template <Regime R> DEVICE void forward(const ScanArgs& p)
{
    // Chained, which carries two states, has no instructions to spare.
    typedef Readout<R == Straight> C;
    float *sd = shared, *sv = sd + 32 * ForwardRow, *sy = sv + 32 * ForwardRow, *sb = sy + 4 * QuadPlane, *sc = sb + 4 * StatePlane;
    const bool outputs = R != EndsOnly;
    const int tid = threadIdx.x, lane = tid & 31, E = p.E, batch = blockIdx.y, piece = R == Chained ? 0 : blockIdx.z;
    const int from = piece * p.chunk, to = R == Chained ? p.L : min(p.L, from + p.chunk);

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
    const Columns columns = Columns::of(e0, E, even);
    const float bias0 = p.bias && columns.one ? p.bias[e0] : 0.f, bias1 = p.bias && columns.two ? p.bias[e0 + 1] : 0.f;
    const float skip0 = skips && columns.one ? p.d[e0] : 0.f, skip1 = skips && columns.two ? p.d[e0 + 1] : 0.f;
    const i64 origin = ((i64)batch * p.L + from + t4) * E + e0;
    const act *pu = p.u + origin, *pd = p.delta + origin, *pz = p.z + origin;
    act* py = p.y + origin;
    const bool loads_c = tid >= 64, loads_bc = outputs || tid < 64, wide = aligned(p.b, 16) && aligned(p.c, 16);
    const bool whole = even && wide && blockIdx.x * 32 + 32 <= E;
    const int bt = (tid & 63) >> 1, half = tid & 1;
    const act* pbc = (loads_c ? p.c : p.b) + ((i64)batch * p.L + from + bt) * 16 + 8 * half;
    float* const bc_to = loads_c ? sc + 2 * half * C::Plane + C::Step * bt : sb + 2 * half * StatePlane + 4 * bt;
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
            }
            if (outputs && gated)
                #pragma unroll
                for (int k = 0; k < 4; k++) rz[k] = *(const Pair*)(pz + k * E);
            if (loads_bc) rbc = load_eight(pbc, true, true);
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
    float* const mine_y = sy + quad * QuadPlane + row * ForwardRow;
    const float *const mine_b = sb + quad * StatePlane, *const mine_c = sc + quad * C::Plane;
    float* start_at = outputs && p.starts ? p.starts + (((i64)batch * ((p.L + Tile - 1) / Tile) + from / Tile) * E + mine) * 16 + n0 : nullptr;
    int boundary = R == Chained ? p.chunk : to;
    bool closed = R != Chained || boundary >= to; // The last chunk's end is nobody's start.

    for (int t = from; t < to; t += Tile)
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
        if (outputs && loads_c) C::put(bc_to, rbc);
        else if (!loads_c)
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

        if (outputs && start_at)
        {
            if (live) *(float4*)start_at = make_float4(h[0], h[1], h[2], h[3]);
            start_at += (i64)E * 16;
        }
        if (R == Chained && !closed) walk_tile<C, true, true>(mine_d, mine_b, mine_c, mine_y, a, h, end);
        else walk_tile<C, outputs, false>(mine_d, mine_b, mine_c, mine_y, a, h, end);
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
            if (full)
                #pragma unroll
                for (int k = 0; k < 4; k++) *(Pair*)(py + k * E) = pair_of(ys[0][k], ys[1][k]);
            else
                #pragma unroll
                for (int k = 0; k < 4; k++) store_pair(py + k * E, columns.where(t + t4 + k < to), pair_of(ys[0][k], ys[1][k]));
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
