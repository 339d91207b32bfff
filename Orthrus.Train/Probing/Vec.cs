using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Orthrus.Train.Probing;

/// <summary>Loops over rows of doubles. Four sums run side by side, so that an addition need not wait for the one before it.</summary>
internal static class Vec
{
    private static readonly int Lanes = Vector<double>.Count;

    /// <summary>Sum of x[i] y[i].</summary>
    internal static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        ref double a = ref MemoryMarshal.GetReference(x), b = ref MemoryMarshal.GetReference(y[..x.Length]);
        Vector<double> s0 = default, s1 = default, s2 = default, s3 = default;
        int i = 0, step = 4 * Lanes;
        for (; i <= x.Length - step; i += step)
        {
            s0 += Load(ref a, i) * Load(ref b, i);
            s1 += Load(ref a, i + Lanes) * Load(ref b, i + Lanes);
            s2 += Load(ref a, i + 2 * Lanes) * Load(ref b, i + 2 * Lanes);
            s3 += Load(ref a, i + 3 * Lanes) * Load(ref b, i + 3 * Lanes);
        }
        for (; i <= x.Length - Lanes; i += Lanes) s0 += Load(ref a, i) * Load(ref b, i);
        double sum = Vector.Sum(s0 + s1 + (s2 + s3));
        for (; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }

    /// <summary>y += f x.</summary>
    internal static void Add(double f, ReadOnlySpan<double> x, Span<double> y)
    {
        ref double a = ref MemoryMarshal.GetReference(x), b = ref MemoryMarshal.GetReference(y[..x.Length]);
        var factor = new Vector<double>(f);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes) Store(Load(ref b, i) + factor * Load(ref a, i), ref b, i);
        for (; i < x.Length; i++) y[i] += f * x[i];
    }

    /// <summary>Sum of x[i]² w[i].</summary>
    internal static double SquaresDot(ReadOnlySpan<double> x, ReadOnlySpan<double> w)
    {
        ref double a = ref MemoryMarshal.GetReference(x), b = ref MemoryMarshal.GetReference(w[..x.Length]);
        Vector<double> s0 = default, s1 = default;
        int i = 0;
        for (; i <= x.Length - 2 * Lanes; i += 2 * Lanes)
        {
            var u = Load(ref a, i);
            var v = Load(ref a, i + Lanes);
            s0 += u * u * Load(ref b, i);
            s1 += v * v * Load(ref b, i + Lanes);
        }
        double sum = Vector.Sum(s0 + s1);
        for (; i < x.Length; i++) sum += x[i] * x[i] * w[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector<double> Load(ref double at, int i) => Unsafe.ReadUnaligned<Vector<double>>(ref Unsafe.As<double, byte>(ref Unsafe.Add(ref at, i)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store(Vector<double> v, ref double at, int i) => Unsafe.WriteUnaligned(ref Unsafe.As<double, byte>(ref Unsafe.Add(ref at, i)), v);
}
