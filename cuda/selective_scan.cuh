// What the kernels of the selective scan share: arguments, one (step, channel), channels side by side.
#pragma once
#include "orthrus.cuh"

struct ScanArgs
{
    const act *u, *delta, *b, *c, *z;
    const float *a, *d, *bias, *initial;
    act* y;
    float *state, *starts; // starts: states at the start of every tile, [B][tiles][E][N], for backward; null at inference
    float *ends, *sums;    // of chunks: [B][chunks][E][16], [B][chunks][E]
    i32 B, L, E, N;
    i32 chunk, chunks, plain, unused; // chunk: steps, a multiple of Tile
};

const int Tile = 32; // steps
const int StatePlane = Tile * 4 + 8; // B or C of one quarter of 16 states, in shared memory

extern __shared__ __align__(16) float shared[];

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

DEVICE float4 add4(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
