// What the kernels of similarities share: stages of shared memory, products of a tile, and what forward leaves of a row.
//
// Stages of shared memory: 16 numbers of each row of both sides, as 4 quads per row; quad q of row r lies at 4 r + (q ^ (r / 2 % 4)), so that neither the
// 4 x 2 quads that 8 lanes write nor quad q of 8 consecutive rows, which they read, meet in a bank. All products add up in ascending order of the depth:
// equal rows have equal similarities wherever they stand.
#pragma once
#include "orthrus.cuh"

const int Rows = 64, Columns = 128, Threads = 128, StageQuads = 4 * (Rows + Columns);
// Backward: weights of 64 rows by half the columns; a row is 8 banks further than the last.
const int Half = 64, WeightRow = 72;
// d of the gradient that a thread block adds up in registers.
const int Chunk = 128;

#define INFINITE __int_as_float(0x7f800000)

// ---- Stages ---------------------------------------------------------------------------------------------------------------------------------------------

#if __CUDA_ARCH__ >= 800
DEVICE void copy_quad(float4* to, const float* from, bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(valid ? 16 : 0) : "memory");
}

DEVICE void copy_one(float* to, const float* from, bool valid)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from), "r"(valid ? 4 : 0) : "memory");
}

// The same without questions, to a fixed number of bytes behind a place in shared memory.
template <int Bytes> DEVICE void copy_quad(u32 to, const float* from)
{
    asm volatile("cp.async.cg.shared.global [%0+%2], [%1], 16;" :: "r"(to), "l"(from), "n"(Bytes) : "memory");
}

// Begins to bring numbers k to k + 3 of a row; those beyond the width, or of a row that does not exist, are 0.
DEVICE void fetch(float4* to, const float* base, i64 row, bool exists, int k, int width, bool vector)
{
    const float* from = base + row * width + k;
    if (vector)
    {
        bool valid = exists && k < width;
        copy_quad(to, valid ? from : base, valid);
        return;
    }
    #pragma unroll
    for (int i = 0; i < 4; i++)
    {
        bool valid = exists && k + i < width;
        copy_one((float*)to + i, valid ? from + i : base, valid);
    }
}

// The stage fetched last is complete, and nobody reads the other one any more.
DEVICE void arrive()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
}
#else
// Straight through registers: other blocks of the multiprocessor cover the wait.
template <int Bytes> DEVICE void copy_quad(u32 to, const float* from)
{
    float4 q = *(const float4*)from;
    asm volatile("st.shared.v4.f32 [%0+%5], {%1, %2, %3, %4};" :: "r"(to), "f"(q.x), "f"(q.y), "f"(q.z), "f"(q.w), "n"(Bytes) : "memory");
}

DEVICE void fetch(float4* to, const float* base, i64 row, bool exists, int k, int width, bool vector)
{
    const float* from = base + row * width + k;
    float4 q = make_float4(0.f, 0.f, 0.f, 0.f);
    if (vector)
    {
        if (exists && k < width) q = *(const float4*)from;
    }
    else if (exists)
    {
        if (k < width) q.x = from[0];
        if (k + 1 < width) q.y = from[1];
        if (k + 2 < width) q.z = from[2];
        if (k + 3 < width) q.w = from[3];
    }
    *to = q;
}

DEVICE void arrive() { __syncthreads(); }
#endif

// One tile's two sides: pointers to its first rows and the number of rows there are from there on.
struct Tile
{
    const float* rows;
    const float* columns;
    i32 row_count, column_count, width;
    bool vector;
};

// The same number, in a way that keeps what is computed from it where it stands: taken out of the loops, addresses would cost more registers than there are.
DEVICE int anew(int x)
{
    int y;
    asm volatile("mov.b32 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

// Numbers k to k + 15 of all rows of a tile: each thread the same quad of every 32nd row.
DEVICE void fetch_sides(float4* stage, const Tile& t, int k)
{
    int id = anew(threadIdx.x), width = anew(t.width), row = id >> 2, quad = id & 3, at = 4 * row + (quad ^ (row >> 1 & 3));
    if (t.vector && t.row_count >= Rows && t.column_count >= Columns && k + 16 <= width)
    {
        u32 to = (u32)__cvta_generic_to_shared(stage + at);
        i64 from = (i64)row * width + k + 4 * quad, step = 32 * (i64)width;
        const float* x = t.rows + from;
        copy_quad<0>(to, x);
        copy_quad<2048>(to, x + step);
        const float* y = t.columns + from;
        copy_quad<2 * 2048>(to, y);
        copy_quad<3 * 2048>(to, y += step);
        copy_quad<4 * 2048>(to, y += step);
        copy_quad<5 * 2048>(to, y += step);
        return;
    }
    #pragma unroll
    for (int i = 0; i < 2; i++) fetch(stage + at + 128 * i, t.rows, row + 32 * i, row + 32 * i < t.row_count, k + 4 * quad, width, t.vector);
    #pragma unroll
    for (int i = 0; i < 4; i++) fetch(stage + at + 128 * (2 + i), t.columns, row + 32 * i, row + 32 * i < t.column_count, k + 4 * quad, width, t.vector);
}

// d to d + 127 of the columns' rows from one on, 16 of them: a warp takes a row.
DEVICE void fetch_columns(float4* stage, const Tile& t, int first, int d)
{
    int id = anew(threadIdx.x), width = anew(t.width), row = id >> 5, quad = id & 31;
    if (t.vector && t.column_count >= first + 16 && d + Chunk <= width)
    {
        u32 to = (u32)__cvta_generic_to_shared(stage + 32 * row + quad);
        i64 step = 4 * (i64)width;
        const float* y = t.columns + (i64)(first + row) * width + d + 4 * quad;
        copy_quad<0>(to, y);
        copy_quad<2048>(to, y += step);
        copy_quad<2 * 2048>(to, y += step);
        copy_quad<3 * 2048>(to, y += step);
        return;
    }
    #pragma unroll
    for (int i = 0; i < 4; i++)
        fetch(stage + 32 * (row + 4 * i) + quad, t.columns, first + row + 4 * i, first + row + 4 * i < t.column_count, d + 4 * quad, width, t.vector);
}

// ---- Products -------------------------------------------------------------------------------------------------------------------------------------------

// A thread's rows are ty + 8 i, its columns tx + 16 j; 8 lanes of a warp share a row.
DEVICE int thread_row() { return (threadIdx.x >> 6) * 4 + (threadIdx.x >> 3 & 3); }
DEVICE int thread_column() { return (threadIdx.x >> 5 & 1) * 8 + (threadIdx.x & 7); }

DEVICE void multiply(float (&s)[8][8], const float4* stage)
{
    int ty = thread_row(), tx = thread_column();
    int x = 4 * ty + (ty >> 1 & 3), y = 4 * Rows + 4 * tx + (tx >> 1 & 3);
    #pragma unroll 1
    for (int q = 0; q < 4; q++)
    {
        float4 b[8];
        #pragma unroll
        for (int j = 0; j < 8; j++) b[j] = stage[(y ^ q) + 64 * j];
        #pragma unroll
        for (int i = 0; i < 8; i++)
        {
            float4 a = stage[(x ^ q) + 32 * i];
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.x, b[j].x, s[i][j]);
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.y, b[j].y, s[i][j]);
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.z, b[j].z, s[i][j]);
            #pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = fmaf(a.w, b[j].w, s[i][j]);
        }
    }
}

DEVICE void clear(float (&s)[8][8])
{
    #pragma unroll
    for (int i = 0; i < 8; i++)
        #pragma unroll
        for (int j = 0; j < 8; j++) s[i][j] = 0.f;
}

DEVICE int depth_steps(int width) { return width > 16 ? (width + 15) / 16 : 1; }
// ---- Rows -----------------------------------------------------------------------------------------------------------------------------------------------

// Statistics of a row over the columns of one split, in this order; n numbers each.
const int Largest = 0, Sum = 1, Others = 2, Before = 3, Statistics = 4;

// A row's statistics over all columns.
struct Row { float log_sum_exp, others, nearest; };

DEVICE Row gather(const float* partial, int splits, int pairs, int pair, i64 n, i64 row, float own)
{
    float top = -INFINITE, lower = -INFINITE, others = 0.f, sum = 0.f;
    i64 stride = (i64)pairs * Statistics * n;
    const float* p = partial + (i64)pair * Statistics * n + row;
    for (int k = 0; k < splits; k++) top = fmaxf(top, p[k * stride + Largest * n]);
    for (int k = 0; k < splits; k++)
    {
        sum += p[k * stride + Sum * n] * expf(p[k * stride + Largest * n] - top);
        others += p[k * stride + Others * n];
        lower = fmaxf(lower, p[k * stride + Before * n]);
    }
    // Of equal similarities the first is the nearest.
    return { top + logf(sum), others, lower < own && top <= own ? 1.f : 0.f };
}
