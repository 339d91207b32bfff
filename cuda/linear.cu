// Linear: matrix products with the tensor cores (compute 80 and above) or FFMA, all in one form: c (m, n) = sum over k of A (m, k) B (n, k).
//   forward       c = y (rows, O),   A = x (rows, K), B = W (O, K): both contiguous in k
//   input grad    c = dx (rows, K),  A = dy (rows, O) contiguous in k, B = W (O, K) with k across its rows
//   weight grad   c = dW (O, K),     A = dy (rows, O), B = x (rows, K), both with k across their rows; rows in slices, added in order by linear_sum
// An element of c is one chain of additions in the order of k, whatever the tile: its bits depend on its own row and column alone.
//
// With tensor cores the operands lie in shared memory as bf16, swizzled so that ldmatrix (transposing where k runs across rows) meets no bank twice.
// The BF16 variant copies them there by cp.async, three stages deep. The F32 variant splits each number into three bf16 whose sum it is exactly, and adds
// six of the nine products, small ones first: what is left out is below 2^-23 of the product. (tf32 in two parts costs the tensor cores as much and
// leaves 2^-21, all that the error bound of a single product allows.) Numbers without such parts (infinities) show as results that are not finite,
// which are then formed again by FFMA.
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
// ---- Tensor cores: tiles and fragments ------------------------------------------------------------------------------------------------------------------

// Block and warp tiles of c, depth of a stage, blocks of a multiprocessor.
template <int BM_, int BN_, int WM_, int WN_, int Depth_, int Blocks_> struct Shape
{
    enum { BM = BM_, BN = BN_, WM = WM_, WN = WN_, Depth = Depth_, Threads = 32 * (BM / WM) * (BN / WN), Blocks = Blocks_ };
};

#ifdef ORTHRUS_BF16
typedef Shape<256, 128, 64, 64, 32, 1> Huge;
typedef Shape<128, 128, 64, 64, 32, 2> Large;
typedef Shape<128, 64, 64, 32, 32, 3> Medium;
typedef Shape<64, 32, 16, 32, 64, 6> Thin;
typedef Shape<64, 64, 32, 32, 32, 4> Loose;
const int Stages = 3, Parts = 1;
#else
typedef Shape<128, 128, 64, 32, 16, 1> Large;
typedef Shape<128, 64, 64, 32, 16, 2> Medium;
typedef Shape<64, 32, 16, 32, 16, 4> Thin;
typedef Shape<64, 64, 32, 32, 16, 3> Loose;
const int Stages = 2, Parts = 3;
#endif

// An operand's tile in shared memory, as in global memory: Width rows contiguous in k, or (Across) Depth rows across which k runs. Rows are cut into chunks
// of 16 bytes whose order changes from row to row.
template <bool Across, int Width, int Depth_> struct Tile
{
    enum { Depth = Depth_, Rows = Across ? Depth : Width, Columns = Across ? Width : Depth, Chunks = Columns / 8, Bytes = Rows * Columns * 2 };

    METHOD static u32 at(int row, int chunk)
    {
        int turn = Chunks >= 8 ? row & 7 : Chunks == 4 ? row >> 1 & 3 : row >> 2 & 1;
        return (row * Chunks + (chunk ^ turn)) * 16;
    }
};

// Keeps a value in a register: the compiler would form it anew at each use inside the loop.
DEVICE void keep(u32& x) { asm volatile("" : "+r"(x)); }
DEVICE void keep(i64& x) { asm volatile("" : "+l"(x)); }

template <int Offset, bool Transposed> DEVICE void load_matrices(u32 (&r)[4], u32 from)
{
    if constexpr (Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4 + %5];"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from), "n"(Offset) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4 + %5];"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from), "n"(Offset) : "memory");
}

// Addresses of a lane for the fragments of a warp, 16 (of m or n) by 16 (of k), Base bytes further. The first two matrices of A follow each other in m, those of B in k.
template <class T, bool Across, int Width, bool IsA, int Depth, int Base> struct Fragments
{
    enum { Count = Width / 16, Steps = Depth / 16 };
    u32 at[Across ? Count : Steps];

    METHOD Fragments(u32 tile, int first)
    {
        int lane = threadIdx.x & 31, low = lane >> 3 & 1, high = lane >> 4;
        int span = IsA ? low : high, k = IsA ? high : low;
        #pragma unroll
        for (int i = 0; i < (Across ? Count : Steps); i++)
        {
            if constexpr (Across)
                at[i] = tile + T::at((lane & 7) + 8 * k, (first >> 3) + 2 * i + span);
            else
                at[i] = tile + T::at(first + (lane & 7) + 8 * span, 2 * i + k);
            keep(at[i]);
        }
    }

    template <int I, int Step, int Offset> METHOD void load_one(u32 (&r)[4]) const
    {
        load_matrices<Base + Offset + 16 * (Across ? Step : I) * T::Chunks * 16, Across>(r, at[Across ? I : Step]);
    }

    template <int Step, int Offset, int I = 0> METHOD void load(u32 (&r)[Count][4]) const
    {
        load_one<I, Step, Offset>(r[I]);
        if constexpr (I + 1 < Count) load<Step, Offset, I + 1>(r);
    }
};

DEVICE void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- Tensor cores: from global to shared memory ---------------------------------------------------------------------------------------------------------

#ifdef ORTHRUS_BF16
// 16 bytes, or 0 and zeros.
template <int To, int From> DEVICE void copy_async(u32 to, const char* from, u32 bytes)
{
    asm volatile("cp.async.cg.shared.global [%0 + %3], [%1 + %4], 16, %2;" :: "r"(to), "l"(from), "r"(bytes), "n"(To), "n"(From) : "memory");
}

template <int To, int From> DEVICE void copy_async(u32 to, const char* from)
{
    asm volatile("cp.async.cg.shared.global [%0 + %2], [%1 + %3], 16;" :: "r"(to), "l"(from), "n"(To), "n"(From) : "memory");
}

DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending> DEVICE void wait_copies() { asm volatile("cp.async.wait_group %0;" :: "n"(Pending) : "memory"); }

// Copies an operand's tiles in order, tile by tile, the first one to stage 0. That one is the short one, filled with zeros: the others need no look at k.
// Rows beyond the operand are copies of its last row, columns zeros: what they give is not stored.
template <class T, bool Across, bool Aligned, int Threads, int StageBytes, int Base> struct Source
{
    enum { Count = T::Rows * T::Chunks / Threads, RowStep = Threads / T::Chunks };
    const char* from[Across ? 1 : Count];
    i64 step;
    // bytes: of a chunk, none beyond the operand's columns.
    u32 to, bytes;
    int row, chunk, columns;

    METHOD Source(u32 shared, const void* operand, i64 pitch, int first, int limit, int begin) : row(threadIdx.x / T::Chunks), chunk(threadIdx.x % T::Chunks)
    {
        to = shared + T::at(row, chunk);
        columns = limit - first - chunk * 8;
        bytes = columns > 0 ? 16 : 0;
        step = RowStep * pitch * 2;
        keep(to);
        keep(bytes);
        keep(step);
        if constexpr (Across)
            from[0] = (const char*)((const bf16*)operand + (begin + row) * pitch + first + chunk * 8);
        else
        {
            #pragma unroll
            for (int i = 0; i < Count; i++)
                from[i] = (const char*)((const bf16*)operand + min(first + row + i * RowStep, limit - 1) * pitch + begin + chunk * 8);
        }
    }

    template <int Stage> METHOD void copy() { copy_chunks<Stage, false>(T::Depth); }

    METHOD void copy_first(int depth)
    {
        copy_chunks<0, true>(depth);
        #pragma unroll
        for (int i = 0; i < (Across ? 1 : Count); i++) from[i] += Across ? (depth - T::Depth) * (step / RowStep) : (depth - T::Depth) * 2;
    }

    // Offsets that are immediate operands ask for recursion instead of loops.
    template <int Stage, bool First, int I = 0> METHOD void copy_chunks(int depth)
    {
        const int To = Base + Stage * StageBytes + I * RowStep * T::Chunks * 16, From = Across ? 0 : Stage * T::Depth * 2;
        const char* source = from[Across ? 0 : I];
        int count = Across ? (!First || row + I * RowStep < depth ? columns : 0) : depth - chunk * 8;
        if constexpr (!Aligned)
        {
            u32 w[4] = {};
            #pragma unroll
            for (int e = 0; e < 8; e++)
                if (e < count) w[e / 2] |= (u32)((const u16*)(source + From))[e] << (e % 2 * 16);
            asm volatile("st.shared.v4.b32 [%0 + %5], {%1, %2, %3, %4};" :: "r"(to), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "n"(To) : "memory");
        }
        else if constexpr (First)
            copy_async<To, From>(to, source, count > 0 ? 16 : 0);
        else if constexpr (Across)
            copy_async<To, From>(to, source, bytes);
        else
            copy_async<To, From>(to, source);
        if constexpr (Across)
            from[0] += step;
        else if (Stage == Stages - 1)
            from[I] += Stages * T::Depth * 2;
        if constexpr (I + 1 < Count) copy_chunks<Stage, First, I + 1>(depth);
    }
};

#else
// Three bf16 (nearest, so exact in sum) of each of two numbers.
DEVICE void split(float x, float y, u32 (&part)[3])
{
    part[0] = to_bf16x2(x, y);
    x -= low_bf16(part[0]);
    y -= high_bf16(part[0]);
    part[1] = to_bf16x2(x, y);
    part[2] = to_bf16x2(x - low_bf16(part[1]), y - high_bf16(part[1]));
}

template <int Offset> DEVICE void store_two(u32 to, u32 x, u32 y) { asm volatile("st.shared.v2.b32 [%0 + %3], {%1, %2};" :: "r"(to), "r"(x), "r"(y), "n"(Offset) : "memory"); }

// Reads the next tile of an operand into registers and later stores its parts.
template <class T, bool Across, bool Aligned, int Threads, int StageBytes, int Base> struct Source : Reader<Across, Across ? T::Columns : T::Rows, T::Depth, Aligned, Threads>
{
    typedef Reader<Across, Across ? T::Columns : T::Rows, T::Depth, Aligned, Threads> R;
    u32 to;

    METHOD Source(u32 shared, const void* operand, i64 pitch, int first, int limit, int begin) : R(operand, pitch, first, limit, begin)
    {
        to = shared + T::at(this->row, this->piece >> 1) + (this->piece & 1) * 8;
    }

    // PartBytes: from a part's tile to the next part's.
    template <int Stage, int PartBytes, int I = 0> METHOD void store() const
    {
        const int To = Base + Stage * StageBytes + I / R::Passes * R::RowStep * T::Chunks * 16 + I % R::Passes * R::Pieces * 8;
        u32 low[3], high[3];
        split(this->next[I].x, this->next[I].y, low);
        split(this->next[I].z, this->next[I].w, high);
        store_two<To>(to, low[0], high[0]);
        store_two<To + PartBytes>(to, low[1], high[1]);
        store_two<To + 2 * PartBytes>(to, low[2], high[2]);
        if constexpr (I + 1 < R::Count * R::Passes) store<Stage, PartBytes, I + 1>();
    }
};
#endif

// ---- Tensor cores: the product --------------------------------------------------------------------------------------------------------------------------

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

#else
// ---- FFMA -----------------------------------------------------------------------------------------------------------------------------------------------

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

LINEAR(linear_forward, false, false, act, true)
LINEAR(linear_input_grad, false, true, act, false)
LINEAR(linear_weight_grad, true, true, float, false)

#ifdef ORTHRUS_BF16
// The tile that asks least of shared memory's bandwidth. Its 72 KB are more than a kernel can declare.
#define LINEAR_HUGE(name, acrossA, acrossB, Out, full) \
    ORTHRUS_KERNEL __launch_bounds__(Huge::Threads, Huge::Blocks) name##_huge(const LinearArgs p) \
    { \
        extern __shared__ __align__(128) char dynamic[]; \
        linear<Huge, acrossA, acrossB, true, Out, full>(p, dynamic); \
    }

LINEAR_HUGE(linear_forward, false, false, act, true)
LINEAR_HUGE(linear_input_grad, false, true, act, false)
#endif

struct LinearSumArgs
{
    const float* parts;
    float* sum;
    i64 count;
    i32 slices;
};

// sum[i] = parts[0][i] + parts[1][i] + ... in that order.
ORTHRUS_KERNEL __launch_bounds__(256) linear_sum(const LinearSumArgs p)
{
    i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= p.count) return;
    float sum = p.slices > 0 ? p.parts[i] : 0.f;
    for (int s = 1; s < p.slices; s++) sum += p.parts[s * p.count + i];
    p.sum[i] = sum;
}

struct LinearBiasGradArgs
{
    const act* dy;
    float* parts;
    i64 rows, slice;
    i32 columns;
};

// parts[slice][column] = sum of dy over the slice's rows: a warp adds every eighth row of 32 columns, the first warp adds the eight sums.
ORTHRUS_KERNEL __launch_bounds__(256) linear_bias_grad(const LinearBiasGradArgs p)
{
    __shared__ float sums[8][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = blockIdx.x * 32 + lane;
    i64 row = blockIdx.y * p.slice, end = min(p.rows, row + p.slice);
    float sum = 0.f;
    if (column < p.columns)
        for (row += warp; row < end; row += 8) sum += to_float(p.dy[row * p.columns + column]);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || column >= p.columns) return;
    for (int w = 1; w < 8; w++) sum += sums[w][lane];
    p.parts[(i64)blockIdx.y * p.columns + column] = sum;
}
