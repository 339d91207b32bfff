// Linear below compute 80: FFMA.
#pragma once

// Block tile of c and a thread's part of it, in squares of 4 by 4; blocks of a multiprocessor.
template <int BM_, int BN_, int TM_, int TN_, int Blocks_> struct Shape
{
    enum { BM = BM_, BN = BN_, TM = TM_, TN = TN_, Depth = 8, Threads = BM / TM * (BN / TN), Blocks = Blocks_ };
};

typedef Shape<128, 128, 8, 8, 2> Large;
typedef Shape<128, 64, 8, 8, 3> Medium;
typedef Shape<64, 32, 4, 4, 6> Thin;
typedef Shape<64, 64, 8, 4, 4> Loose;

// Reads the next tile of an operand into registers and later stores it with k across the rows.
template <bool Across, int Width, int Depth, bool Aligned, int Threads> struct Source : Reader<Across, Width, Depth, Aligned, Threads>
{
    typedef Reader<Across, Width, Depth, Aligned, Threads> R;
    using R::R;
    // Four more columns: float4 stay aligned, and a column of the tile stored by a warp meets no bank twice.
    enum { Pitch = Width + 4, Floats = Depth * Pitch };

    METHOD void store(float* tile) const
    {
        if (this->idle()) return;
        #pragma unroll
        for (int e = 0; e < R::Count * R::Passes; e++)
        {
            int r = this->row + e / R::Passes * R::RowStep;
            float4 v = this->next[e];
            if (Across)
                // The compiler does not see that the address is a multiple of 16, and would store four times.
                asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};"
                    :: "r"(shared_address(tile + r * Pitch + (this->piece + e % R::Passes * R::Pieces) * 4)), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w) : "memory");
            else
            {
                float* at = tile + this->piece * 4 * Pitch + r;
                at[0] = v.x;
                at[Pitch] = v.y;
                at[2 * Pitch] = v.z;
                at[3 * Pitch] = v.w;
            }
        }
    }
};

template <class S, bool AcrossA, bool AcrossB, bool Aligned> struct Product
{
    typedef Source<AcrossA, S::BM, S::Depth, Aligned, S::Threads> SourceA;
    typedef Source<AcrossB, S::BN, S::Depth, Aligned, S::Threads> SourceB;
    enum { StageFloats = SourceA::Floats + SourceB::Floats, SharedBytes = 2 * 4 * StageFloats };
};

template <class S, bool AcrossA, bool AcrossB, bool Aligned, class Out, bool Full> DEVICE void linear(const LinearArgs& p, char* room)
{
    typedef Product<S, AcrossA, AcrossB, Aligned> P;
    typedef typename P::SourceA SourceA;
    typedef typename P::SourceB SourceB;
    const int MB = S::TM / 4, NB = S::TN / 4;
    float* shared = (float*)room;
    Range r = range_of<S::BM, S::BN>(p);
    // A warp has 8 threads across and 4 down.
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, across = S::BN / S::TN / 8;
    int tn = (warp % across * 8 + (lane & 7)) * 4, tm = (warp / across * 4 + (lane >> 3)) * 4;
    float sum[S::TM][S::TN] = {};
    int tiles = (r.to - r.from + S::Depth - 1) / S::Depth;
    if (tiles > 0)
    {
        SourceA sourceA(p.a, p.lda, r.m, p.m, r.from);
        SourceB sourceB(p.b, p.ldb, r.n, p.n, r.from);
        int first = r.to - r.from - (tiles - 1) * S::Depth;
        sourceA.read_first(first);
        sourceB.read_first(first);
        sourceA.store(shared);
        sourceB.store(shared + SourceA::Floats);
        __syncthreads();
        for (int stage = 0; ; stage ^= 1)
        {
            bool more = --tiles > 0;
            if (more)
            {
                sourceA.read();
                sourceB.read();
            }
            const float* a = shared + stage * P::StageFloats + tm;
            const float* b = shared + stage * P::StageFloats + SourceA::Floats + tn;
            // More at once would not fit into the registers that two blocks leave each other.
            #pragma unroll 2
            for (int k = 0; k < S::Depth; k++)
            {
                float x[S::TM], y[S::TN];
                #pragma unroll
                for (int i = 0; i < MB; i++) *(float4*)(x + 4 * i) = *(const float4*)(a + k * SourceA::Pitch + i * (S::BM / MB));
                #pragma unroll
                for (int j = 0; j < NB; j++) *(float4*)(y + 4 * j) = *(const float4*)(b + k * SourceB::Pitch + j * (S::BN / NB));
                #pragma unroll
                for (int i = 0; i < S::TM; i++)
                {
                    #pragma unroll
                    for (int j = 0; j < S::TN; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
                }
            }
            if (!more) break;
            sourceA.store(shared + (stage ^ 1) * P::StageFloats);
            sourceB.store(shared + (stage ^ 1) * P::StageFloats + SourceA::Floats);
            __syncthreads();
        }
    }
    float* c = (float*)p.c + r.part;
    #pragma unroll
    for (int j = 0; j < S::TN; j += 2)
    {
        int column = r.n + tn + j / 4 * (S::BN / NB) + j % 4;
        float2 bias = make_float2(0.f, 0.f);
        if (Full && p.bias) bias = read_two<Aligned>(p.bias + column, p.n - column);
        #pragma unroll
        for (int i = 0; i < S::TM; i++)
        {
            int row = r.m + tm + i / 4 * (S::BM / MB) + i % 4;
            float& x = sum[i][j];
            float& y = sum[i][j + 1];
            if (Full)
            {
                x += bias.x;
                y += bias.y;
                if (p.epilogue & Silu)
                {
                    x = silu(x);
                    y = silu(y);
                }
                if (p.epilogue & Residual)
                {
                    float2 residual = read_two<Aligned>((const float*)p.residual + row * p.ldc + column, row < p.m ? p.n - column : 0);
                    x += residual.x;
                    y += residual.y;
                }
            }
            float* at = c + row * p.ldc + column;
            if (!Aligned)
            {
                if (row < p.m && column < p.n) at[0] = x;
                if (row < p.m && column + 1 < p.n) at[1] = y;
            }
            else if (j % 4 == 2 && row < p.m && column < p.n)
                *(float4*)(at - 2) = make_float4(sum[i][j - 2], sum[i][j - 1], x, y);
        }
    }
}
