// Linear with the tensor cores: tiles in shared memory, fragments in registers, and how operands get there.
#pragma once

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
