// Linear with the tensor cores: the product and its results.
#pragma once
#include "linear_tiles.cuh"

template <class S, bool AcrossA, bool AcrossB, bool Aligned> struct Product
{
    typedef Tile<AcrossA, S::BM, S::Depth> TileA;
    typedef Tile<AcrossB, S::BN, S::Depth> TileB;
    enum { MI = S::WM / 16, NI = S::WN / 8, Steps = S::Depth / 16, PartBytes = TileA::Bytes + TileB::Bytes, StageBytes = Parts * PartBytes };
    enum { SharedBytes = Stages * StageBytes };

    typedef Source<TileA, AcrossA, Aligned, S::Threads, StageBytes, 0> SourceA;
    typedef Source<TileB, AcrossB, Aligned, S::Threads, StageBytes, TileA::Bytes> SourceB;

    Fragments<TileA, AcrossA, S::WM, true, S::Depth, 0> a;
    Fragments<TileB, AcrossB, S::WN, false, S::Depth, TileA::Bytes> b;
    float sum[MI][NI][4] = {};

    METHOD explicit Product(u32 shared) : a(shared, first_row()), b(shared, first_column()) {}

    METHOD static int warp() { return threadIdx.x >> 5; }
    METHOD static int first_row() { return warp() / (S::BN / S::WN) * S::WM; }
    METHOD static int first_column() { return warp() % (S::BN / S::WN) * S::WN; }

#ifdef ORTHRUS_BF16
    u32 fa[2][MI][4], fb[2][NI / 2][4];

    template <int Stage, int Step> METHOD void load()
    {
        a.template load<Step, Stage * StageBytes>(fa[Step & 1]);
        b.template load<Step, Stage * StageBytes>(fb[Step & 1]);
    }

    // One tile of `left`: the fragments of the next step, then the products of this one. The next tile's first fragments come before this tile's last products.
    template <int Stage, int Step = 0> METHOD void round(SourceA& sourceA, SourceB& sourceB, int left)
    {
        if constexpr (Step < Steps - 1)
            load<Stage, Step + 1>();
        else if (left > 1)
        {
            wait_copies<Stages - 2>();
            __syncthreads();
            load<(Stage + 1) % Stages, 0>();
        }
        if constexpr (Step == 0)
        {
            // Into the stage that all warps have left at the last barrier.
            if (left >= Stages) copy<(Stage + Stages - 1) % Stages>(sourceA, sourceB);
            commit_copies();
        }
        #pragma unroll
        for (int i = 0; i < MI; i++)
        {
            #pragma unroll
            for (int j = 0; j < NI; j++) multiply(sum[i][j], fa[Step & 1][i], fb[Step & 1][j / 2][j % 2 * 2], fb[Step & 1][j / 2][j % 2 * 2 + 1]);
        }
        if constexpr (Step < Steps - 1) round<Stage, Step + 1>(sourceA, sourceB, left);
    }

    template <int Stage> METHOD static void copy(SourceA& sourceA, SourceB& sourceB)
    {
        sourceA.template copy<Stage>();
        sourceB.template copy<Stage>();
    }

    // tiles: their number, all but the first of full depth.
    METHOD void run(SourceA& sourceA, SourceB& sourceB, int tiles, int first)
    {
        static_assert(Stages == 3, "the loop below takes turns with three stages");
        sourceA.copy_first(first);
        sourceB.copy_first(first);
        commit_copies();
        if (tiles > 1) copy<1>(sourceA, sourceB);
        commit_copies();
        wait_copies<Stages - 2>();
        __syncthreads();
        load<0, 0>();
        while (true)
        {
            round<0>(sourceA, sourceB, tiles);
            if (--tiles == 0) break;
            round<1>(sourceA, sourceB, tiles);
            if (--tiles == 0) break;
            round<2>(sourceA, sourceB, tiles);
            if (--tiles == 0) break;
        }
    }
#else
    template <int Stage> METHOD static void store(const SourceA& sourceA, const SourceB& sourceB)
    {
        sourceA.template store<Stage, PartBytes>();
        sourceB.template store<Stage, PartBytes>();
    }

    // Columns 16 J to 16 J + 15.
    template <int Stage, int J = 0> METHOD void multiply_parts(const u32 (&fa)[3][MI][4])
    {
        const int Offset = Stage * StageBytes, A[6] = { 2, 0, 1, 1, 0, 0 }, B[6] = { 0, 2, 1, 0, 1, 0 };
        u32 fb[3][4];
        b.template load_one<J, 0, Offset>(fb[0]);
        b.template load_one<J, 0, Offset + PartBytes>(fb[1]);
        b.template load_one<J, 0, Offset + 2 * PartBytes>(fb[2]);
        #pragma unroll
        for (int t = 0; t < 6; t++)
        {
            #pragma unroll
            for (int i = 0; i < MI; i++)
            {
                multiply(sum[i][2 * J], fa[A[t]][i], fb[B[t]][0], fb[B[t]][1]);
                multiply(sum[i][2 * J + 1], fa[A[t]][i], fb[B[t]][2], fb[B[t]][3]);
            }
        }
        if constexpr (J + 1 < NI / 2) multiply_parts<Stage, J + 1>(fa);
    }

    // One tile of `left`: reads the next one, multiplies this one, stores the next one into the other stage.
    template <int Stage> METHOD void round(SourceA& sourceA, SourceB& sourceB, int left)
    {
        if (left > 1)
        {
            sourceA.read();
            sourceB.read();
        }
        const int Offset = Stage * StageBytes;
        u32 fa[3][MI][4];
        a.template load<0, Offset>(fa[0]);
        a.template load<0, Offset + PartBytes>(fa[1]);
        a.template load<0, Offset + 2 * PartBytes>(fa[2]);
        multiply_parts<Stage>(fa);
        if (left > 1) store<1 - Stage>(sourceA, sourceB);
        __syncthreads();
    }

    METHOD void run(SourceA& sourceA, SourceB& sourceB, int tiles, int first)
    {
        static_assert(S::Depth == 16, "a stage is one step");
        sourceA.read_first(first);
        sourceB.read_first(first);
        store<0>(sourceA, sourceB);
        __syncthreads();
        while (true)
        {
            round<0>(sourceA, sourceB, tiles);
            if (--tiles == 0) break;
            round<1>(sourceA, sourceB, tiles);
            if (--tiles == 0) break;
        }
    }
#endif

#ifndef ORTHRUS_BF16
    METHOD bool has_bad() const
    {
        float bad = 0.f;
        #pragma unroll
        for (int i = 0; i < MI; i++)
        {
            #pragma unroll
            for (int j = 0; j < NI; j++) bad = fmaf(sum[i][j][0], 0.f, fmaf(sum[i][j][1], 0.f, fmaf(sum[i][j][2], 0.f, fmaf(sum[i][j][3], 0.f, bad))));
        }
        return __any_sync(0xffffffffu, bad != 0.f);
    }

    // Stored results of the warp that are not finite: again by FFMA in the order of k, as IEEE arithmetic has them.
    template <bool Full> METHOD static void again(float* c, const LinearArgs& p, const Range& r)
    {
        __syncwarp();
        #pragma unroll 1
        for (int e = threadIdx.x & 31; e < S::WM * S::WN; e += 32)
        {
            int row = r.m + first_row() + e / S::WN, column = r.n + first_column() + e % S::WN;
            if (row >= p.m || column >= p.n) continue;
            float* at = c + row * p.ldc + column;
            if (isfinite(*at)) continue;
            const float* x = (const float*)p.a + (AcrossA ? row : row * p.lda);
            const float* y = (const float*)p.b + (AcrossB ? column : column * p.ldb);
            float v = 0.f;
            #pragma unroll 1
            for (int k = r.from; k < r.to; k++) v = fmaf(x[AcrossA ? k * p.lda : k], y[AcrossB ? k * p.ldb : k], v);
            if (Full && p.bias) v += p.bias[column];
            if (Full && (p.epilogue & Silu)) v = silu(v);
            if (Full && (p.epilogue & Residual)) v += ((const float*)p.residual)[row * p.ldc + column];
            *at = v;
        }
    }
#endif

    // Bias, SiLU, residual, in this order.
    template <class Out> METHOD void finish(const LinearArgs& p, int row, int column)
    {
        if (p.bias)
        {
            #pragma unroll
            for (int j = 0; j < NI; j++)
            {
                float2 bias = read_two<Aligned>(p.bias + column + 8 * j, p.n - column - 8 * j);
                #pragma unroll
                for (int h = 0; h < MI * 2; h++)
                {
                    sum[h / 2][j][h % 2 * 2] += bias.x;
                    sum[h / 2][j][h % 2 * 2 + 1] += bias.y;
                }
            }
        }
        if (p.epilogue & Silu)
        {
            #pragma unroll
            for (int e = 0; e < MI * NI * 4; e++) sum[e / (NI * 4)][e / 4 % NI][e % 4] = silu(sum[e / (NI * 4)][e / 4 % NI][e % 4]);
        }
        if (p.epilogue & Residual)
        {
            const Out* residual = (const Out*)p.residual + row * p.ldc + column;
            #pragma unroll
            for (int h = 0; h < MI * 2; h++)
            {
                #pragma unroll
                for (int j = 0; j < NI; j++)
                {
                    float2 r = read_two<Aligned>(residual + 8 * j, row + 8 * h < p.m ? p.n - column - 8 * j : 0);
                    sum[h / 2][j][h % 2 * 2] += r.x;
                    sum[h / 2][j][h % 2 * 2 + 1] += r.y;
                }
                residual += 8 * p.ldc;
            }
        }
    }

    // Any alignment. row, column: of the lane's first result.
    template <class Out> METHOD void store_loose(Out* c, const LinearArgs& p, int row, int column) const
    {
        c += row * p.ldc + column;
        #pragma unroll
        for (int h = 0; h < MI * 2; h++)
        {
            #pragma unroll
            for (int e = 0; e < NI * 2; e++)
                if (row + 8 * h < p.m && column + e / 2 * 8 + e % 2 < p.n) write_one(c + e / 2 * 8 + e % 2, sum[h / 2][e / 2][h % 2 * 2 + e % 2]);
            c += 8 * p.ldc;
        }
    }

    // A quad of lanes has 32 bytes of a row, a sector.
    METHOD void store(float* c, const LinearArgs& p, int row, int column, char*) const
    {
        c += row * p.ldc + column;
        #pragma unroll
        for (int h = 0; h < MI * 2; h++)
        {
            if (row + 8 * h < p.m)
            {
                #pragma unroll
                for (int j = 0; j < NI; j++)
                    if (column + 8 * j < p.n) *(float2*)(c + 8 * j) = make_float2(sum[h / 2][j][h % 2 * 2], sum[h / 2][j][h % 2 * 2 + 1]);
            }
            c += 8 * p.ldc;
        }
    }

#ifdef ORTHRUS_BF16
    // Through the warp's room, 16 bytes a lane.
    METHOD void store(bf16* c, const LinearArgs& p, int row, int column, char* shared) const
    {
        typedef Tile<false, S::WM, S::WN> Rows;
        const int RowStep = 32 / Rows::Chunks;
        char* room = shared + warp() * Rows::Bytes;
        int lane = threadIdx.x & 31;
        // Other warps may still read the last tiles.
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < MI; i++)
        {
            #pragma unroll
            for (int j = 0; j < NI; j++)
            {
                // Eight rows further the order of chunks is the same.
                char* at = room + Rows::at(lane >> 2, j) + (lane & 3) * 4 + i * (16 * S::WN * 2);
                *(u32*)at = to_bf16x2(sum[i][j][0], sum[i][j][1]);
                *(u32*)(at + 8 * S::WN * 2) = to_bf16x2(sum[i][j][2], sum[i][j][3]);
            }
        }
        __syncwarp();
        int first = lane / Rows::Chunks, chunk = lane % Rows::Chunks;
        row += first - (lane >> 2);
        column += chunk * 8 - (lane & 3) * 2;
        if (column >= p.n) return;
        c += row * p.ldc + column;
        #pragma unroll
        for (int m = 0; m < S::WM; m += RowStep)
        {
            if (row + m < p.m) *(uint4*)c = *(const uint4*)(room + Rows::at(first + m % 8, chunk) + m / 8 * (8 * S::WN * 2));
            c += RowStep * p.ldc;
        }
    }
#endif

    template <class Out, bool Full> METHOD void store_result(const LinearArgs& p, const Range& r, char* shared)
    {
        Out* c = (Out*)p.c + r.part;
        int lane = threadIdx.x & 31, row = r.m + first_row() + (lane >> 2), column = r.n + first_column() + (lane & 3) * 2;
#ifndef ORTHRUS_BF16
        bool bad = has_bad();
#endif
        if (Full) finish<Out>(p, row, column);
        if constexpr (Aligned)
            store(c, p, row, column, shared);
        else
            store_loose(c, p, row, column);
#ifndef ORTHRUS_BF16
        if (bad) again<Full>(c, p, r);
#endif
    }
};

template <class S, bool AcrossA, bool AcrossB, bool Aligned, class Out, bool Full> DEVICE void linear(const LinearArgs& p, char* shared)
{
    typedef Product<S, AcrossA, AcrossB, Aligned> P;
    Range r = range_of<S::BM, S::BN>(p);
    u32 address = shared_address(shared);
    P product(address);
    if (r.to > r.from)
    {
        typename P::SourceA sourceA(address, p.a, p.lda, r.m, p.m, r.from);
        typename P::SourceB sourceB(address, p.b, p.ldb, r.n, p.n, r.from);
        int tiles = (r.to - r.from + S::Depth - 1) / S::Depth;
        product.run(sourceA, sourceB, tiles, r.to - r.from - (tiles - 1) * S::Depth);
    }
    product.template store_result<Out, Full>(p, r, shared);
}
