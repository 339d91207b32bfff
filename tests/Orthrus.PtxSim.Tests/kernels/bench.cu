// Kernels whose simulation speed is watched: a scan, a matrix product with and without tensor cores, a norm, an elementwise one, gathers.
typedef unsigned int u32;

// One channel a thread, states in registers, B and C staged in shared memory.
extern "C" __global__ void scan(const float* __restrict__ delta, const float* __restrict__ u, const float* __restrict__ A, const float* __restrict__ B,
                                const float* __restrict__ C, float* __restrict__ y, int length, int channels)
{
    __shared__ float sb[32][16], sc[32][16];
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    float a[16], h[16];
    for (int n = 0; n < 16; n++) { a[n] = A[n * channels + c] * 1.44269504f; h[n] = 0; }
    for (int t0 = 0; t0 < length; t0 += 32)
    {
        __syncthreads();
        for (int k = threadIdx.x; k < 512; k += blockDim.x) { (&sb[0][0])[k] = B[t0 * 16 + k]; (&sc[0][0])[k] = C[t0 * 16 + k]; }
        __syncthreads();
        for (int t = 0; t < 32; t++)
        {
            float d = delta[(t0 + t) * channels + c], x = u[(t0 + t) * channels + c], s = 0;
            #pragma unroll
            for (int n = 0; n < 16; n++)
            {
                float e;
                asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(d * a[n]));
                h[n] = e * h[n] + d * x * sb[t][n];
                s += h[n] * sc[t][n];
            }
            y[(t0 + t) * channels + c] = s;
        }
    }
}

// 64 x 64 tile, 256 threads, 4 x 4 results a thread.
extern "C" __global__ void sgemm(const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C, int M, int N, int K)
{
    __shared__ float sa[16][64], sb[16][64];
    int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, row = blockIdx.y * 64, col = blockIdx.x * 64;
    float acc[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += 16)
    {
        for (int e = threadIdx.x; e < 1024; e += 256)
        {
            sa[e & 15][e >> 4] = A[(row + (e >> 4)) * K + k0 + (e & 15)];
            sb[e >> 6][e & 63] = B[(k0 + (e >> 6)) * N + col + (e & 63)];
        }
        __syncthreads();
        #pragma unroll
        for (int k = 0; k < 16; k++)
        {
            float4 p = *(float4*)&sa[k][ty * 4], q = *(float4*)&sb[k][tx * 4];
            float pa[4] = {p.x, p.y, p.z, p.w}, qb[4] = {q.x, q.y, q.z, q.w};
            #pragma unroll
            for (int i = 0; i < 4; i++)
                #pragma unroll
                for (int j = 0; j < 4; j++) acc[i][j] += pa[i] * qb[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        *(float4*)&C[(row + ty * 4 + i) * N + col + tx * 4] = make_float4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
}

__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// bf16, 64 x 64 tile, 4 warps of 32 x 32, two stages of cp.async, A row-major (M,K), B as (N,K).
extern "C" __global__ void mma_gemm(const unsigned short* __restrict__ A, const unsigned short* __restrict__ B, float* __restrict__ C, int M, int N, int K)
{
    __shared__ __align__(16) unsigned short sa[2][64][40], sb[2][64][40];
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, wr = (warp >> 1) * 32, wc = (warp & 1) * 32, row = blockIdx.y * 64, col = blockIdx.x * 64;
    float acc[2][4][4] = {};
    auto load = [&](int stage, int k0)
    {
        for (int e = tid; e < 256; e += 128)
        {
            int r = e >> 2, q = (e & 3) * 8;
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(shared_address(&sa[stage][r][q])), "l"(A + (row + r) * K + k0 + q));
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(shared_address(&sb[stage][r][q])), "l"(B + (col + r) * K + k0 + q));
        }
        asm volatile("cp.async.commit_group;");
    };
    load(0, 0);
    for (int k0 = 0, s = 0; k0 < K; k0 += 32, s ^= 1)
    {
        if (k0 + 32 < K) { load(s ^ 1, k0 + 32); asm volatile("cp.async.wait_group 1;"); }
        else asm volatile("cp.async.wait_group 0;");
        __syncthreads();
        #pragma unroll
        for (int kk = 0; kk < 32; kk += 16)
        {
            u32 a[2][4], b[2][4];
            for (int i = 0; i < 2; i++)
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(a[i][0]), "=r"(a[i][1]), "=r"(a[i][2]), "=r"(a[i][3])
                    : "r"(shared_address(&sa[s][wr + i * 16 + (lane & 15)][kk + (lane >> 4) * 8])));
            for (int j = 0; j < 2; j++)
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(b[j][0]), "=r"(b[j][1]), "=r"(b[j][2]), "=r"(b[j][3])
                    : "r"(shared_address(&sb[s][wc + j * 16 + (lane & 7) + ((lane >> 4) << 3)][kk + ((lane >> 3) & 1) * 8])));
            #pragma unroll
            for (int i = 0; i < 2; i++)
                #pragma unroll
                for (int j = 0; j < 4; j++)
                    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                        : "+f"(acc[i][j][0]), "+f"(acc[i][j][1]), "+f"(acc[i][j][2]), "+f"(acc[i][j][3])
                        : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j >> 1][(j & 1) * 2]), "r"(b[j >> 1][(j & 1) * 2 + 1]));
        }
        __syncthreads();
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
        {
            int r = row + wr + i * 16 + (lane >> 2), c = col + wc + j * 8 + (lane & 3) * 2;
            *(float2*)&C[r * N + c] = make_float2(acc[i][j][0], acc[i][j][1]);
            *(float2*)&C[(r + 8) * N + c] = make_float2(acc[i][j][2], acc[i][j][3]);
        }
}

// RMS norm, one row of 256 x k a block.
extern "C" __global__ void rms_norm(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int width)
{
    __shared__ float part[8];
    float s = 0;
    for (int k = threadIdx.x; k < width; k += 256) { float v = x[blockIdx.x * width + k]; s += v * v; }
    for (int o = 16; o > 0; o >>= 1) s += __shfl_xor_sync(0xffffffff, s, o);
    if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = s;
    __syncthreads();
    s = 0;
    for (int k = 0; k < 8; k++) s += part[k];
    float r = rsqrtf(s / width + 1e-5f);
    for (int k = threadIdx.x; k < width; k += 256) y[blockIdx.x * width + k] = x[blockIdx.x * width + k] * r * w[k];
}

extern "C" __global__ void silu(const float* __restrict__ x, float* __restrict__ y, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = x[i] / (1 + __expf(-x[i]));
}

// Random gathers and strongly diverging lanes.
extern "C" __global__ void gather(const float* __restrict__ table, const int* __restrict__ index, float* __restrict__ y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float s = 0;
    for (int k = 0; k < 32; k++) s += table[index[k * n + i]];
    y[i] = s;
}

extern "C" __global__ void diverge(const int* __restrict__ steps, float* __restrict__ y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = i;
    for (int k = 0; k < steps[i]; k++) { if ((k ^ i) & 1) v = v * 0.5f + 1; else v = v * 0.25f - k; }
    y[i] = v;
}
