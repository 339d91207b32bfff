using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.PtxSim.Execution;

/// <summary>Shifts by an amount of each lane; amounts past the width give zero or copies of the sign, as PTX demands.</summary>
internal static class Shift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Left(Vector512<uint> a, Vector512<uint> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftLeftLogicalVariable(a, b);
        if (Avx2.IsSupported)
            return Vector512.Create(Avx2.ShiftLeftLogicalVariable(a.GetLower(), b.GetLower()), Avx2.ShiftLeftLogicalVariable(a.GetUpper(), b.GetUpper()));
        Vector512<uint> d = default;
        for (int l = 0; l < 16; l++)
            d = d.WithElement(l, b[l] > 31 ? 0 : a[l] << (int)b[l]);
        return d;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Right(Vector512<uint> a, Vector512<uint> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftRightLogicalVariable(a, b);
        if (Avx2.IsSupported)
            return Vector512.Create(Avx2.ShiftRightLogicalVariable(a.GetLower(), b.GetLower()), Avx2.ShiftRightLogicalVariable(a.GetUpper(), b.GetUpper()));
        Vector512<uint> d = default;
        for (int l = 0; l < 16; l++)
            d = d.WithElement(l, b[l] > 31 ? 0 : a[l] >> (int)b[l]);
        return d;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Arithmetic(Vector512<uint> a, Vector512<uint> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftRightArithmeticVariable(a.AsInt32(), b).AsUInt32();
        if (Avx2.IsSupported)
        {
            return Vector512.Create(
                Avx2.ShiftRightArithmeticVariable(a.GetLower().AsInt32(), b.GetLower()),
                Avx2.ShiftRightArithmeticVariable(a.GetUpper().AsInt32(), b.GetUpper())).AsUInt32();
        }

        Vector512<uint> d = default;
        for (int l = 0; l < 16; l++)
            d = d.WithElement(l, (uint)((int)a[l] >> (int)Math.Min(b[l], 31)));
        return d;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Left(Vector512<ulong> a, Vector512<ulong> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftLeftLogicalVariable(a, b);
        if (Avx2.IsSupported)
            return Vector512.Create(Avx2.ShiftLeftLogicalVariable(a.GetLower(), b.GetLower()), Avx2.ShiftLeftLogicalVariable(a.GetUpper(), b.GetUpper()));
        Vector512<ulong> d = default;
        for (int l = 0; l < 8; l++)
            d = d.WithElement(l, b[l] > 63 ? 0 : a[l] << (int)b[l]);
        return d;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Right(Vector512<ulong> a, Vector512<ulong> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftRightLogicalVariable(a, b);
        if (Avx2.IsSupported)
            return Vector512.Create(Avx2.ShiftRightLogicalVariable(a.GetLower(), b.GetLower()), Avx2.ShiftRightLogicalVariable(a.GetUpper(), b.GetUpper()));
        Vector512<ulong> d = default;
        for (int l = 0; l < 8; l++)
            d = d.WithElement(l, b[l] > 63 ? 0 : a[l] >> (int)b[l]);
        return d;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Arithmetic(Vector512<ulong> a, Vector512<ulong> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftRightArithmeticVariable(a.AsInt64(), b).AsUInt64();
        Vector512<ulong> d = default;
        for (int l = 0; l < 8; l++)
            d = d.WithElement(l, (ulong)((long)a[l] >> (int)Math.Min(b[l], 63)));
        return d;
    }
}
