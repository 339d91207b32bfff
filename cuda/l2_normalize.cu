// Rows of unit length, y = x / max(|x|, eps): a warp per row. Rows are read again where they are needed again; then they are in the cache.
#include "orthrus.cuh"

struct NormalizeArgs
{
    const float* x;
    const float* dy; // backward only
    float* to;
    i64 rows;
    i32 width, vector; // vector: rows begin at 16 bytes and are multiples of them
    float eps;
};

DEVICE float dot(float a, float b) { return a * b; }
DEVICE float dot(float4 a, float4 b) { return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, a.w * b.w))); }
DEVICE float scale(float a, float by) { return a * by; }
DEVICE float4 scale(float4 a, float by) { return make_float4(a.x * by, a.y * by, a.z * by, a.w * by); }
// (dy - u along) by
DEVICE float slope(float u, float dy, float along, float by) { return fmaf(-along, u, dy) * by; }
DEVICE float4 slope(float4 u, float4 dy, float along, float by)
{
    return make_float4(slope(u.x, dy.x, along, by), slope(u.y, dy.y, along, by), slope(u.z, dy.z, along, by), slope(u.w, dy.w, along, by));
}

template <class V> DEVICE float norm(const V* x, int n)
{
    float sum = 0.f;
    for (int i = threadIdx.x & 31; i < n; i += 32)
    {
        V v = x[i];
        sum += dot(v, v);
    }
    return sqrtf(warp_sum(sum));
}

template <class V> DEVICE void forward(const NormalizeArgs& a, i64 row, int n)
{
    const V* x = (const V*)(a.x + row * a.width);
    V* y = (V*)(a.to + row * a.width);
    float length = norm(x, n), by = 1.f / (length > a.eps ? length : a.eps);
    for (int i = threadIdx.x & 31; i < n; i += 32) y[i] = scale(x[i], by);
}

template <class V> DEVICE void backward(const NormalizeArgs& a, i64 row, int n)
{
    const V* x = (const V*)(a.x + row * a.width);
    const V* dy = (const V*)(a.dy + row * a.width);
    V* dx = (V*)(a.to + row * a.width);
    float length = norm(x, n), by = 1.f / (length > a.eps ? length : a.eps), along = 0.f;
    // With u = x / |x|, whose products cannot underflow as those of x would. Below eps the divisor is a constant.
    if (length > a.eps)
    {
        for (int i = threadIdx.x & 31; i < n; i += 32) along += dot(scale(x[i], by), dy[i]);
        along = warp_sum(along);
    }
    for (int i = threadIdx.x & 31; i < n; i += 32) dx[i] = slope(scale(x[i], by), dy[i], along, by);
}

DEVICE i64 warp_row() { return (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5); }

ORTHRUS_KERNEL l2_normalize_forward(const NormalizeArgs a)
{
    i64 row = warp_row();
    if (row >= a.rows) return;
    if (a.vector) forward<float4>(a, row, a.width >> 2);
    else forward<float>(a, row, a.width);
}

ORTHRUS_KERNEL l2_normalize_backward(const NormalizeArgs a)
{
    i64 row = warp_row();
    if (row >= a.rows) return;
    if (a.vector) backward<float4>(a, row, a.width >> 2);
    else backward<float>(a, row, a.width);
}
