// What the tensor cores do at most: products of BF16 summed in float32, from registers to registers. Not an operator's kernel: `orthrus bench` alone compiles it.
#include "orthrus.cuh"

struct MatrixPeakArgs
{
    float* to;  // one number per thread, so that nothing is left out
    i32 rounds; // of Chains products a warp
};

// So many products do not wait for each other: more than the tensor cores have under way.
const int Chains = 8;

ORTHRUS_KERNEL matrix_peak(const MatrixPeakArgs a)
{
    float sum = 0.f;
#if __CUDA_ARCH__ >= 800
    // Ones of either sign, not zeros: a circuit that changes nothing needs less power and may clock higher.
    u32 x[4], y[2];
    #pragma unroll
    for (int i = 0; i < 6; i++)
    {
        u32 signs = (threadIdx.x * 0x9E3779B1u + i * 0x85EBCA77u) & 0x80008000u;
        if (i < 4) x[i] = 0x3F803F80u ^ signs;
        else y[i - 4] = 0x3F803F80u ^ signs;
    }
    float c[Chains][4];
    #pragma unroll
    for (int k = 0; k < Chains; k++)
        #pragma unroll
        for (int i = 0; i < 4; i++) c[k][i] = 0.f;
    for (int r = 0; r < a.rounds; r++)
        #pragma unroll
        for (int k = 0; k < Chains; k++)
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                : "+f"(c[k][0]), "+f"(c[k][1]), "+f"(c[k][2]), "+f"(c[k][3]) : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    #pragma unroll
    for (int k = 0; k < Chains; k++) sum += c[k][0] + c[k][1] + c[k][2] + c[k][3];
#endif
    a.to[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
