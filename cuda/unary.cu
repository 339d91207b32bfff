// Functions of one number, elementwise: forward y = f(x), backward dx = dy f'(x), or f' from y where that is what the operator saves.
#include "orthrus.cuh"

struct UnaryArgs
{
    const act* x;
    const act* dy; // backward only
    act* to;
    i64 count;
};

struct Silu
{
    DEVICE float value(float x) { return x * sigmoid(x); }
    DEVICE float gradient(float x, float dy)
    {
        // 1 - s without a difference: near s = 1 it would keep few digits, and x multiplies them.
        float e = expf(-fabsf(x)), by = 1.f / (1.f + e), s = x >= 0.f ? by : e * by, complement = x >= 0.f ? e * by : by;
        return dy * s * fmaf(x, complement, 1.f);
    }
};

template <class F> DEVICE void forward(const UnaryArgs& a)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < a.count; i += (i64)gridDim.x * blockDim.x) a.to[i] = to_act(F::value(to_float(a.x[i])));
}

template <class F> DEVICE void backward(const UnaryArgs& a)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < a.count; i += (i64)gridDim.x * blockDim.x)
        a.to[i] = to_act(F::gradient(to_float(a.x[i]), to_float(a.dy[i])));
}

ORTHRUS_KERNEL silu_forward(const UnaryArgs a) { forward<Silu>(a); }
ORTHRUS_KERNEL silu_backward(const UnaryArgs a) { backward<Silu>(a); }
