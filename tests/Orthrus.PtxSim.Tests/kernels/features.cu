// What NVRTC emits beyond plain arithmetic: printf and assert, device functions that are not inlined, struct parameters with an index at run
// time, local arrays, constant and global variables, generic addresses, atomics, a spin lock, the last block of a grid, warp reductions.
struct Params { int a[5]; float* b; short c; };
__constant__ float weights[4] = {1, 2, 3, 4};
__device__ int counter;
__device__ float table[3] = {0.5f, 1.5f, 2.5f};
__device__ float* table_end = table + 2;

__device__ __noinline__ float polynomial(float x, int n, const float* w)
{
    float s = 0;
    for (int k = n - 1; k >= 0; k--) s = s * x + w[k];
    return s;
}

extern "C" __global__ void say(int n)
{
    printf("thread %d of %d: %.2f %s%%\n", threadIdx.x, n, threadIdx.x * 0.5, "done");
    assert(threadIdx.x < n);
}

extern "C" __global__ void calls(float* y, Params p, int k)
{
    int i = threadIdx.x;
    y[i] = polynomial((float)i, 4, weights) + p.a[k + i % 2] + p.b[i] + p.c + table[i % 3] + *table_end;
}

extern "C" __global__ void local_array(int* y, const int* x, int n)
{
    int v[8];
    for (int k = 0; k < 8; k++) v[k] = x[threadIdx.x * 8 + k];
    for (int k = 0; k < n; k++) { int a = v[k & 7]; v[(k + 3) & 7] += a; }
    for (int k = 0; k < 8; k++) y[threadIdx.x * 8 + k] = v[(k + threadIdx.x) & 7];
}

// Every thread of the warp takes the lock in turn: needs independent progress of lanes.
extern "C" __global__ void lock(int* mutex, int* value)
{
    bool done = false;
    while (!done)
    {
        if (atomicCAS(mutex, 0, 1) == 0)
        {
            volatile int* v = value;
            *v = *v + 1;
            __threadfence();
            atomicExch(mutex, 0);
            done = true;
        }
    }
}

// One lane spins until another lane of its warp sets the flag, later in the code.
extern "C" __global__ void spin(volatile int* flag, int* y)
{
    if (threadIdx.x == 0) { while (*flag == 0) {} y[0] = 7; }
    else if (threadIdx.x == 1) { *flag = 1; }
}

// Blocks wait for the block before them: needs several blocks at the same time.
extern "C" __global__ void chain(volatile int* flags, int* y)
{
    if (threadIdx.x == 0)
    {
        if (blockIdx.x > 0) while (flags[blockIdx.x - 1] == 0) {}
        y[blockIdx.x] = blockIdx.x + 100;
        __threadfence();
        flags[blockIdx.x] = 1;
    }
}

// The last block to finish adds the partial sums of all.
extern "C" __global__ void sum_last(const float* x, float* partial, float* y, int n)
{
    __shared__ float s[256];
    __shared__ bool last;
    float v = 0;
    for (int k = blockIdx.x * 256 + threadIdx.x; k < n; k += gridDim.x * 256) v += x[k];
    s[threadIdx.x] = v;
    __syncthreads();
    for (int w = 128; w > 0; w >>= 1) { if (threadIdx.x < w) s[threadIdx.x] += s[threadIdx.x + w]; __syncthreads(); }
    if (threadIdx.x == 0)
    {
        partial[blockIdx.x] = s[0];
        __threadfence();
        last = atomicAdd(&counter, 1) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (last && threadIdx.x == 0) { float t = 0; for (int k = 0; k < gridDim.x; k++) t += partial[k]; y[0] = t; counter = 0; }
}

extern "C" __global__ void histogram(const int* x, int* bins, int n)
{
    __shared__ int local_bins[16];
    if (threadIdx.x < 16) local_bins[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local_bins[x[i] & 15], 1);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], local_bins[threadIdx.x]);
}

// Divergent paths with a shuffle after they meet, a ballot, a switch.
extern "C" __global__ void branches(int* y)
{
    int i = threadIdx.x, v = 0;
    for (int k = 0; k <= (i & 7); k++) { if ((i + k) % 3 == 0) v += k; else if ((i + k) % 3 == 1) v -= i; else v ^= k; }
    switch (i & 7) { case 0: v += 10; break; case 1: v *= 3; break; case 2: v -= 7; break; case 3: v ^= 5; break; case 4: v <<= 2; break; case 5: v = ~v; break; default: v += i; }
    unsigned odd = __ballot_sync(0xffffffff, v & 1);
    int other = __shfl_xor_sync(0xffffffff, v, 5);
    y[i] = v * 1000 + other + __popc(odd & ((1u << (i & 31)) - 1));
}

extern "C" __global__ void wide(unsigned long long* y, unsigned long long a, unsigned long long b)
{
    unsigned long long x = a + threadIdx.x;
    y[threadIdx.x * 4] = x / b; y[threadIdx.x * 4 + 1] = x % b; y[threadIdx.x * 4 + 2] = __umul64hi(x, b); y[threadIdx.x * 4 + 3] = (unsigned long long)((long long)x / -7);
}

extern "C" __global__ void trig(float* y, const float* x) { y[threadIdx.x] = sinf(x[threadIdx.x]) + (float)exp((double)x[threadIdx.x]) + powf(fabsf(x[threadIdx.x]), 0.3f); }
