using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Orthrus.PtxSim.Execution;

/// <summary>Vectors over the 32 lanes of a warp, and masked stores of results.</summary>
internal static unsafe class Lanes
{
    public const uint All = 0xFFFFFFFF;

    private static Vector512<uint> BitsLow => Vector512.Create(1u, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);

    private static Vector512<ulong> Bits64 => Vector512.Create(1ul, 2, 4, 8, 16, 32, 64, 128);

    /// <summary>All ones in the lanes whose bit of the low 16 bits of <paramref name="mask"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Expand(uint mask) => ~Vector512.Equals(Vector512.Create(mask) & BitsLow, Vector512<uint>.Zero);

    /// <summary>All ones in the 64-bit lanes whose bit of the low 8 bits is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Expand64(uint mask) => ~Vector512.Equals(Vector512.Create((ulong)mask) & Bits64, Vector512<ulong>.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* d, Vector512<uint> low, Vector512<uint> high, uint mask)
    {
        var p = (Vector512<uint>*)d;
        if (mask == All)
        {
            p[0] = low;
            p[1] = high;
        }
        else
            Blend(p, low, high, mask);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Blend(Vector512<uint>* p, Vector512<uint> low, Vector512<uint> high, uint mask)
    {
        p[0] = Vector512.ConditionalSelect(Expand(mask), low, p[0]);
        p[1] = Vector512.ConditionalSelect(Expand(mask >> 16), high, p[1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* d, Vector512<float> low, Vector512<float> high, uint mask) => Store(d, low.AsUInt32(), high.AsUInt32(), mask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store64(byte* d, Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c, Vector512<ulong> e, uint mask)
    {
        var p = (Vector512<ulong>*)d;
        if (mask == All)
        {
            p[0] = a;
            p[1] = b;
            p[2] = c;
            p[3] = e;
        }
        else
            Blend64(p, a, b, c, e, mask);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Blend64(Vector512<ulong>* p, Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c, Vector512<ulong> e, uint mask)
    {
        p[0] = Vector512.ConditionalSelect(Expand64(mask & 255), a, p[0]);
        p[1] = Vector512.ConditionalSelect(Expand64(mask >> 8 & 255), b, p[1]);
        p[2] = Vector512.ConditionalSelect(Expand64(mask >> 16 & 255), c, p[2]);
        p[3] = Vector512.ConditionalSelect(Expand64(mask >> 24), e, p[3]);
    }

    /// <summary>Writes a predicate for the lanes of the mask.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePredicate(byte* d, uint value, uint mask) => *(uint*)d = (*(uint*)d & ~mask) | (value & mask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits(Vector512<uint> low, Vector512<uint> high) =>
        (uint)low.ExtractMostSignificantBits() | (uint)high.ExtractMostSignificantBits() << 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits64Of(Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c, Vector512<ulong> d) =>
        (uint)a.ExtractMostSignificantBits() | (uint)b.ExtractMostSignificantBits() << 8 | (uint)c.ExtractMostSignificantBits() << 16
        | (uint)d.ExtractMostSignificantBits() << 24;
}
