// Backward of the selective scan (selective_scan.cu), 16 states.
//
// Tiles from the last to the first. A warp has 16 channels; a lane four states of two neighbouring channels, so that whatever it reads of B and C serves
// both and their shares of dB and dC are added before they leave its registers. From the state at the tile's start, which the forward kernel left, it runs forward,
// keeping the state every four steps; then, four steps at a time, it runs forward once more with everything in registers and back. Per state and step, going back:
//   q += g C (g: gradient of y before the gate), dB += q d u, dC += g h[t], s1 += q B, q *= a, w = q h[t-1], s2 += A w, dA += d w
// and then du = d s1 + D g, ddelta = (u s1 + s2) sigmoid. Sums over the lanes of a warp go through its own piece of shared memory. A block leaves one sum of
// dB and dC over its channels; selective_scan_sums.cu adds those.
#include "selective_scan.cuh"

const int GradRow = 36;
#ifdef ORTHRUS_BF16
const int StepPlane = 0;
#else
const int SlotStride = 20;                  // between the channels of a warp: four quarters of the states, padded
const int StepPlane = 8 * SlotStride + 16;  // dB or dC of one step from 32 lanes
#endif
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

// dB and dC of four steps, summed over the channels of a warp.
struct ChannelSums
{
#ifdef ORTHRUS_BF16
    // By the tensor cores: the lanes' shares are the second operand of an mma, which adds up over the four lanes of a quad and two numbers of each. Of a float it
    // reads the upper 19 bits, tf32: 11 binary digits, three more than the result will have. (cvt.rna would round rather than cut them, and spill. The PTX manual
    // has tf32 operands come from cvt and does not promise that the 13 lower bits of others are ignored; every device so far ignores them, and used ones would only be more exact.)
    // The first operand, ones and zeros, sends the two to rows of their own: 2 step + pair of the states, and eight further. Two quads have the
    // same states; so have neighbouring columns of the result. A NaN or an infinity shows in all four steps.
    u32 picks[8];
    float b[4], c[4];
    float* to;

    __device__ __forceinline__ ChannelSums(float*, float* totals)
    {
        const int lane = threadIdx.x & 31, row = lane >> 2;
        #pragma unroll
        for (int i = 0; i < 8; i++) picks[i] = row == i ? 0x3f800000 : 0;
        to = held(totals + (Tile / 4 - 1) * 64 + 8 * (row & 6) + 4 * (lane & 3) + 2 * (row & 1));
    }

    DEVICE void multiply(float (&sum)[4], bool first, u32 pick, float x, float y)
    {
        if (first)
            asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %5, %4}, {%6, %7}, {%8, %8, %8, %8};"
                : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3]) : "r"(pick), "r"(0), "r"(__float_as_uint(x)), "r"(__float_as_uint(y)), "f"(0.f));
        else
            asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %5, %4}, {%6, %7}, {%0, %1, %2, %3};"
                : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(pick), "r"(0), "r"(__float_as_uint(x)), "r"(__float_as_uint(y)));
    }

    // Steps come in the order 3, 2, 1, 0.
    __device__ __forceinline__ void add(int step, const float (&db)[4], const float (&dc)[4])
    {
        multiply(b, step == 3, picks[2 * step], db[0], db[1]);
        multiply(b, false, picks[2 * step + 1], db[2], db[3]);
        multiply(c, step == 3, picks[2 * step], dc[0], dc[1]);
        multiply(c, false, picks[2 * step + 1], dc[2], dc[3]);
    }

    __device__ __forceinline__ void finish()
    {
        *(float2*)to = make_float2(b[0] + b[1], b[2] + b[3]);
        *(float2*)(to + Tile * 16) = make_float2(c[0] + c[1], c[2] + c[3]);
        to -= 64;
    }
#else
    // Through shared memory: each lane leaves its shares and collects those of eight lanes for four numbers of a step.
    float *out, *in, *to;

    __device__ __forceinline__ ChannelSums(float* room, float* totals)
    {
        const int lane = threadIdx.x & 31;
        out = held(room + SlotStride * (lane & 7) + 4 * (lane >> 3));
        in = held(room + (lane >> 2) * StepPlane + 4 * (lane & 3));
        to = held(totals + (Tile / 4 - 1) * 64 + (lane >> 4) * Tile * 16 + 4 * (lane & 15));
    }

    __device__ __forceinline__ void add(int step, const float (&db)[4], const float (&dc)[4])
    {
        quad_at(out + step * StepPlane) = make_float4(db[0], db[1], db[2], db[3]);
        quad_at(out + (4 + step) * StepPlane) = make_float4(dc[0], dc[1], dc[2], dc[3]);
    }

    __device__ __forceinline__ void finish()
    {
        float4 sum = quad_at(in);
        #pragma unroll
        for (int k = 1; k < 8; k++) sum = add4(sum, quad_at(in + SlotStride * k));
        quad_at(to) = sum;
        to -= 64;
    }
#endif

    // To the next tile's last steps.
    __device__ __forceinline__ void rewind() { to += Tile / 4 * 64; }
};

template <int Warps> DEVICE void backward(const ScanGradArgs& p)
{
    typedef GradLayout<Warps> At;
    const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, E = p.E, L = p.L, batch = blockIdx.y, tiles = (L + Tile - 1) / Tile;

    // As worker.
    const int quad = lane >> 3, slot = lane & 7, row = 8 * warp + slot, mine = blockIdx.x * At::Channels + 2 * row, n0 = 4 * quad;
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
    ChannelSums channel_sums(shared + At::Steps + warp * 8 * StepPlane, shared + At::Totals + warp * 2 * Tile * 16);
    float* const sums = shared + At::Sums + warp * 8 * SumPlane;
    float* const share_out = held(sums + quad * LanePlane + 4 * slot);
    float* const share_in = held(sums + (lane >> 3) * SumPlane + 4 * (lane & 7));
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

        float *s_at = s_out + Tile - 4, *y_at = y_out + Tile - 8;
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
                channel_sums.add(k, db, dc);
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
            channel_sums.finish();
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
        channel_sums.rewind();
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
