// Reverses each sequence within its own length; what lies behind it stays. The map is its own inverse and its own transpose.
#include "orthrus.cuh"

struct ReverseArgs
{
    const act* x;
    act* y;
    const i32* lengths; // null: L for all
    i32 B, L;
    i32 units;          // of a row: fours where rows and addresses allow it, else elements
    i32 in_fours;
    i32 shift;          // 2^shift lanes go along a row
};

template <class Unit> DEVICE void reverse(const ReverseArgs& a)
{
    const int Rows = 4;
    int lanes = 1 << a.shift, groups = blockDim.x >> a.shift, first = blockIdx.x * groups * Rows + (threadIdx.x >> a.shift);
    for (int b = blockIdx.y; b < a.B; b += gridDim.y)
    {
        int length = a.lengths ? min(a.lengths[b], a.L) : a.L;
        const Unit* x = (const Unit*)a.x + (i64)b * a.L * a.units;
        Unit* y = (Unit*)a.y + (i64)b * a.L * a.units;
        #pragma unroll 1
        for (int c = threadIdx.x & (lanes - 1); c < a.units; c += lanes)
        {
            Unit v[Rows];
            #pragma unroll
            for (int r = 0; r < Rows; r++)
            {
                int t = first + r * groups;
                if (t < a.L) v[r] = x[(i64)(t < length ? length - 1 - t : t) * a.units + c];
            }
            #pragma unroll
            for (int r = 0; r < Rows; r++)
            {
                int t = first + r * groups;
                if (t < a.L) y[(i64)t * a.units + c] = v[r];
            }
        }
    }
}

#ifdef ORTHRUS_BF16
typedef uint2 act4;
#else
typedef float4 act4;
#endif

ORTHRUS_KERNEL __launch_bounds__(256, 6) reverse_sequence(const ReverseArgs a)
{
    if (a.in_fours) reverse<act4>(a);
    else reverse<act>(a);
}
