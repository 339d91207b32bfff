// What the kernels of Linear share, and the macros that make them.
#pragma once
#include "orthrus.cuh"

struct LinearArgs
{
    const void* a;
    const void* b;
    void* c;
    const float* bias;
    const void* residual;
    i64 lda, ldb, ldc;
    i32 m, n, k;
    // Length in k of a slice, a multiple of 64; slice s writes to c + s m ldc.
    i32 slice;
    i32 epilogue;
};

enum Epilogue { Silu = 1, Residual = 2 };

#define METHOD __device__ __forceinline__

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// ---- Blocks ---------------------------------------------------------------------------------------------------------------------------------------------

// Where the block's tile of c begins, and its range of k. Columns go first: blocks that run together share rows of A.
struct Range { int m, n, from, to; i64 part; };

template <int BM, int BN> DEVICE Range range_of(const LinearArgs& p)
{
    u32 across = (p.n + BN - 1) / BN, down = (p.m + BM - 1) / BM;
    u32 row = blockIdx.x / across, slice = row / down;
    Range r;
    r.n = (blockIdx.x - row * across) * BN;
    r.m = (row - slice * down) * BM;
    r.from = slice * p.slice;
    r.to = min(p.k - r.from, p.slice) + r.from;
    r.part = (i64)slice * p.m * p.ldc;
    return r;
}

// ---- Results --------------------------------------------------------------------------------------------------------------------------------------------

// Relative error below (|x| + 4) 2^-23.
DEVICE float silu(float x)
{
    float e = exp2_fast(-fabsf(x) * Log2E);
    return __fdividef(x >= 0.f ? x : x * e, 1.f + e);
}

DEVICE float2 read_two(const float* p) { return *(const float2*)p; }
DEVICE void write_one(float* p, float v) { *p = v; }

#ifdef ORTHRUS_BF16
DEVICE float2 read_two(const bf16* p)
{
    u32 pair = *(const u32*)p;
    return make_float2(low_bf16(pair), high_bf16(pair));
}

DEVICE void write_one(bf16* p, float v) { *p = to_bf16(v); }
#endif

// Two neighbours of a row, where they are inside it; Paired: both or none are, and their address is a multiple of theirs.
template <bool Paired, class T> DEVICE float2 read_two(const T* p, int count)
{
    float2 v = make_float2(0.f, 0.f);
    if (Paired)
    {
        if (count > 0) v = read_two(p);
    }
    else
    {
        if (count > 0) v.x = to_float(p[0]);
        if (count > 1) v.y = to_float(p[1]);
    }
    return v;
}

#ifndef ORTHRUS_BF16
// ---- F32 operands: global memory to registers -----------------------------------------------------------------------------------------------------------

// Reads an operand's tiles into registers, pieces of four numbers. Width rows contiguous in k, or (Across) Depth rows across which k runs. The first tile is the short one, filled with zeros:
// the others need no look at k. Rows beyond the operand are copies of its last row, columns zeros: what they give is not stored.
template <bool Across, int Width, int Depth, bool Aligned, int Threads> struct Reader
{
    // A thread's pieces lie a multiple of eight rows or of 64 columns apart: there the order of chunks in a Tile is the same.
    enum
    {
        Rows = Across ? Depth : Width, RowPieces = (Across ? Width : Depth) / 4, Pieces = RowPieces < Threads / 8 ? RowPieces : Threads / 8, Passes = RowPieces / Pieces,
        RowStep = Threads / Pieces, Spare = RowStep > Rows, Count = Spare ? 1 : Rows / RowStep
    };
    const float* from[Across ? 1 : Count];
    float4 next[Count * Passes];
    i64 pitch;
    int row, piece, columns;

    METHOD Reader(const void* operand, i64 pitch, int first, int limit, int begin) : pitch(pitch), row(threadIdx.x / Pieces), piece(threadIdx.x % Pieces)
    {
        columns = limit - first - piece * 4;
        if constexpr (Across)
            from[0] = (const float*)operand + (begin + row) * pitch + first + piece * 4;
        else
        {
            #pragma unroll
            for (int i = 0; i < Count; i++)
                from[i] = (const float*)operand + min(first + row + i * RowStep, limit - 1) * pitch + begin + piece * 4;
        }
    }

    METHOD bool idle() const { return Spare && row >= Rows; }

    METHOD void read() { read<false>(Depth); }
    METHOD void read_first(int depth) { read<true>(depth); }

    template <bool First> METHOD void read(int depth)
    {
        #pragma unroll
        for (int e = 0; e < Count * Passes; e++)
        {
            int r = e / Passes * RowStep, column = e % Passes * Pieces * 4;
            const float* source = from[Across ? 0 : e] + (Across ? r * pitch + column : 0);
            int count = Across ? columns - column : First ? depth - piece * 4 : 4;
            if (idle() || (First && Across && row + r >= depth)) count = 0;
            float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
            if (Aligned)
            {
                if (count > 0) v = *(const float4*)source;
            }
            else
            {
                if (count > 0) v.x = source[0];
                if (count > 1) v.y = source[1];
                if (count > 2) v.z = source[2];
                if (count > 3) v.w = source[3];
            }
            next[e] = v;
        }
        #pragma unroll
        for (int i = 0; i < (Across ? 1 : Count); i++) from[i] += Across ? depth * pitch : depth;
    }
};
#endif

#if __CUDA_ARCH__ >= 800
#include "linear_product.cuh"
#else
#include "linear_ffma.cuh"
#endif

// ---- Entry points ---------------------------------------------------------------------------------------------------------------------------------------

#define LINEAR_TILE(name, S, acrossA, acrossB, aligned, Out, full) \
    ORTHRUS_KERNEL __launch_bounds__(S::Threads, S::Blocks) name(const LinearArgs p) \
    { \
        __shared__ __align__(128) char shared[Product<S, acrossA, acrossB, aligned>::SharedBytes]; \
        linear<S, acrossA, acrossB, aligned, Out, full>(p, shared); \
    }

// Tiles for wide, narrower and thin results, all for operands, results, bias and residual whose rows begin at multiples of 16 bytes; loose is for any others.
#define LINEAR(name, acrossA, acrossB, Out, full) \
    LINEAR_TILE(name##_large, Large, acrossA, acrossB, true, Out, full) \
    LINEAR_TILE(name##_medium, Medium, acrossA, acrossB, true, Out, full) \
    LINEAR_TILE(name##_thin, Thin, acrossA, acrossB, true, Out, full) \
    LINEAR_TILE(name##_loose, Loose, acrossA, acrossB, false, Out, full)

#ifdef ORTHRUS_BF16
// The tile that asks least of shared memory's bandwidth. Its 72 KB are more than a kernel can declare.
#define LINEAR_HUGE(name, acrossA, acrossB, Out, full) \
    ORTHRUS_KERNEL __launch_bounds__(Huge::Threads, Huge::Blocks) name##_huge(const LinearArgs p) \
    { \
        extern __shared__ __align__(128) char dynamic[]; \
        linear<Huge, acrossA, acrossB, true, Out, full>(p, dynamic); \
    }
#endif
