#include "orthrus.cuh"

struct SwishArgs
{
    const act* x;
    const float* beta;
    const act* dy;
    act *y, *dx;
    float* dbeta;
    i32 rows, channels;
};

ORTHRUS_KERNEL swish_forward(const SwishArgs a)
{
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (i64)a.rows * a.channels) return;
    float x = to_float(a.x[i]);
    a.y[i] = to_act(x * sigmoid(a.beta[i % a.channels] * x));
}

// A thread goes down one channel: its sum has a fixed order, and neighbouring threads read neighbouring numbers.
ORTHRUS_KERNEL swish_backward(const SwishArgs a)
{
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= a.channels) return;
    float beta = a.beta[c], sum = 0.f;
    for (int r = 0; r < a.rows; r++)
    {
        i64 i = (i64)r * a.channels + c;
        float x = to_float(a.x[i]), dy = to_float(a.dy[i]), s = sigmoid(beta * x), slope = x * s * sigmoid(-beta * x);
        if (a.dx) a.dx[i] = to_act(dy * fmaf(beta, slope, s));
        sum = fmaf(dy * x, slope, sum);
    }
    if (a.dbeta) a.dbeta[c] = sum;
}
