// The columns of a matrix as three matrices, and back: a product of narrow results runs once, on all columns together.
#include "orthrus.cuh"

struct SplitArgs
{
    act* joined;   // (rows, all)
    act* parts[3]; // (rows, second - 0), (rows, third - second), (rows, all - third); null where a part has only zeros
    i64 rows;
    i32 second, third, all; // first column of the second and of the third part, and all columns
    i32 slab;               // rows of a block
    i32 in_fours;           // columns and addresses allow fours, which then lie in one part
};

// Calls f(element of joined, the same of a part or null), a four or an element at a time.
template <int Width, class F> DEVICE void pairs(const SplitArgs& a, F f)
{
    i64 first = (i64)blockIdx.x * a.slab;
    u32 count = (u32)min((i64)a.slab, a.rows - first) * a.all;
    act* joined = a.joined + first * a.all;
    for (u32 i = threadIdx.x * Width; i < count; i += blockDim.x * Width)
    {
        u32 row = i / a.all;
        i32 column = i - row * a.all;
        // No array is indexed by a variable: it would be put into local memory.
        bool in_first = column < a.second, in_second = column < a.third;
        act* part = in_first ? a.parts[0] : in_second ? a.parts[1] : a.parts[2];
        i32 begin = in_first ? 0 : in_second ? a.second : a.third, end = in_first ? a.second : in_second ? a.third : a.all;
        f(joined + i, part ? part + (first + row) * (end - begin) + (column - begin) : nullptr);
    }
}

ORTHRUS_KERNEL split_columns(const SplitArgs a)
{
    if (a.in_fours) pairs<4>(a, [](act* joined, act* part) { store4(part, load4(joined)); });
    else pairs<1>(a, [](act* joined, act* part) { *part = *joined; });
}

ORTHRUS_KERNEL join_columns(const SplitArgs a)
{
    if (a.in_fours) pairs<4>(a, [](act* joined, act* part) { store4(joined, part ? load4(part) : float4 {0.f, 0.f, 0.f, 0.f}); });
    else pairs<1>(a, [](act* joined, act* part) { *joined = part ? *part : to_act(0.f); });
}
