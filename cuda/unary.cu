// Functions of one number, elementwise: forward y = f(x), backward dx = dy f'(x).
#include "orthrus.cuh"

struct UnaryArgs
{
    const act* x;
    const act* dy; // backward only
    act* to;
    i64 count;
};

// Accesses of 16 bytes, two in flight per thread and operand: a block covers blockDim.x x Unroll x Wide numbers.
const int Wide = 16 / sizeof(act), Unroll = 2;

// x beyond the limit comes nearer; NaN stays.
DEVICE float limited(float x, float limit) { return fabsf(x) > limit ? copysignf(limit, x) : x; }

struct Silu
{
    DEVICE float value(float x) { float complement; return x * sigmoid(x, complement); }
    DEVICE float gradient(float x, float dy)
    {
        // 1 - s without a difference: near s = 1 it would keep few digits, and x multiplies them.
        float complement, s = sigmoid(x, complement);
        return dy * s * fmaf(x, complement, 1.f);
    }
};

struct Relu
{
    // NaN is not less than 0 and stays.
    DEVICE float value(float x) { return x <= 0.f ? 0.f : x; }
    DEVICE float gradient(float x, float dy) { return x <= 0.f ? 0.f : dy; }
};

struct Sigmoid
{
    DEVICE float value(float x) { float complement; return sigmoid(x, complement); }
    DEVICE float gradient(float x, float dy) { float complement, s = sigmoid(x, complement); return dy * s * complement; }
};

struct Softplus
{
    DEVICE float value(float x) { return softplus(x); }
    DEVICE float gradient(float x, float dy) { float complement; return x > 20.f ? dy : dy * sigmoid(x, complement); }
};

const float InverseRoot2 = 0.70710678118654752440f, InverseRoot2Pi = 0.39894228040143267794f, Slope = 0.79788456080286535588f, Cubic = 0.044715f;

struct GeluExact
{
    DEVICE float value(float x) { return x * fmaf(0.5f, erff(x * InverseRoot2), 0.5f); }
    DEVICE float gradient(float x, float dy)
    {
        // Phi(x) + x phi(x), phi the density; beyond the limit the second term is below the smallest number.
        float c = limited(x, 40.f), phi = expf(c * c * -0.5f) * InverseRoot2Pi;
        return dy * fmaf(c, phi, fmaf(0.5f, erff(x * InverseRoot2), 0.5f));
    }
};

struct GeluTanh
{
    DEVICE float inner(float x) { return Slope * fmaf(x * x * Cubic, x, x); }
    DEVICE float value(float x) { return x * fmaf(0.5f, tanhf(inner(limited(x, 12.f))), 0.5f); }
    DEVICE float gradient(float x, float dy)
    {
        // Beyond the limit tanh is 1 to the last place.
        float c = limited(x, 12.f), t = tanhf(inner(c)), slope = Slope * fmaf(c * c, 3.f * Cubic, 1.f);
        return dy * fmaf(0.5f * c * slope, (1.f - t) * (1.f + t), fmaf(0.5f, t, 0.5f));
    }
};

template <class F, bool Back> DEVICE float apply(float x, float dy) { return Back ? F::gradient(x, dy) : F::value(x); }

template <class F, bool Back> DEVICE void walk(const UnaryArgs& a)
{
    int whole = blockDim.x * (Unroll * Wide);
    i64 first = (i64)blockIdx.x * whole;
    int count = (int)min(a.count - first, (i64)whole);
    const act* x = a.x + first;
    const act* dy = Back ? a.dy + first : nullptr;
    act* to = a.to + first;
    if (count == whole && (((u64)x | (u64)dy | (u64)to) & 15) == 0)
    {
        Raw<act, Wide> xs[Unroll], dys[Unroll];
        #pragma unroll
        for (int u = 0; u < Unroll; u++)
        {
            int at = (u * blockDim.x + threadIdx.x) * Wide;
            xs[u] = fetch<Wide>(x + at);
            if (Back) dys[u] = fetch<Wide>(dy + at);
        }
        #pragma unroll
        for (int u = 0; u < Unroll; u++)
        {
            float v[Wide], d[Wide];
            unpack(xs[u], v);
            if (Back) unpack(dys[u], d);
            #pragma unroll
            for (int i = 0; i < Wide; i++) v[i] = apply<F, Back>(v[i], Back ? d[i] : 0.f);
            store(to + (u * blockDim.x + threadIdx.x) * Wide, v);
        }
    }
    else
    {
        for (int i = threadIdx.x; i < count; i += blockDim.x) to[i] = to_act(apply<F, Back>(to_float(x[i]), Back ? to_float(dy[i]) : 0.f));
    }
}

#define UNARY(name, F) \
    ORTHRUS_KERNEL name##_forward(const UnaryArgs a) { walk<F, false>(a); } \
    ORTHRUS_KERNEL name##_backward(const UnaryArgs a) { walk<F, true>(a); }

UNARY(silu, Silu)
UNARY(relu, Relu)
UNARY(sigmoid, Sigmoid)
UNARY(softplus, Softplus)
UNARY(gelu, GeluExact)
UNARY(gelu_tanh, GeluTanh)
