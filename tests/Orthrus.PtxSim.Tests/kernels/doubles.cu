// Functions of double as ordinary kernels use them: each begins or ends in the machine's gross approximations.
extern "C" __global__ void functions(double* y, const double* x, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double v = x[i];
    y[i] = log(v);
    y[i + n] = pow(v, 1.7);
    y[i + 2 * n] = sin(v);
    y[i + 3 * n] = cos(v);
    y[i + 4 * n] = tan(v);
    y[i + 5 * n] = tanh(v);
    y[i + 6 * n] = cbrt(v);
    y[i + 7 * n] = rsqrt(v);
    y[i + 8 * n] = hypot(v, 3.0);
    y[i + 9 * n] = asinh(v);
    y[i + 10 * n] = acos(v / 64);
    y[i + 11 * n] = exp(-v);
}
