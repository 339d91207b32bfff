using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor;

/// <summary>Loops over rows of contiguous numbers. Every result depends on the operands and their number alone.</summary>
internal static unsafe class RowMath
{
    /// <summary>x[i] = value.</summary>
    internal static void Fill<T>(T* x, T value, long n) where T : unmanaged
    {
        for (long i = 0; i < n; i++) x[i] = value;
    }

    /// <summary>y += x.</summary>
    internal static void Add<T>(T* x, T* y, int n) where T : unmanaged, INumberBase<T>
    {
        int i = 0, w = Vector<T>.Count;
        for (; i <= n - w; i += w) Vector.Store(Vector.Load(x + i) + Vector.Load(y + i), y + i);
        for (; i < n; i++) y[i] += x[i];
    }

    /// <summary>y *= a.</summary>
    internal static void Scale<T>(T a, T* y, int n) where T : unmanaged, INumberBase<T>
    {
        int i = 0, w = Vector<T>.Count;
        var va = new Vector<T>(a);
        for (; i <= n - w; i += w) Vector.Store(va * Vector.Load(y + i), y + i);
        for (; i < n; i++) y[i] *= a;
    }

    /// <summary>y += a x.</summary>
    internal static void AddScaled<T>(T a, T* x, T* y, int n) where T : unmanaged, INumberBase<T>
    {
        int i = 0, w = Vector<T>.Count;
        var va = new Vector<T>(a);
        for (; i <= n - w; i += w) Vector.Store(va * Vector.Load(x + i) + Vector.Load(y + i), y + i);
        for (; i < n; i++) y[i] += a * x[i];
    }

    /// <summary>Sum of a[i] b[i].</summary>
    internal static T Dot<T>(T* a, T* b, int n) where T : unmanaged, INumberBase<T>
    {
        int i = 0, w = Vector<T>.Count;
        var s = Vector<T>.Zero;
        for (; i <= n - w; i += w) s += Vector.Load(a + i) * Vector.Load(b + i);
        T sum = Vector.Sum(s);
        for (; i < n; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>Four products with one row: the same additions in the same order as <see cref="Dot"/>, so that ties stay ties.</summary>
    internal static void Dot4<T>(T* a, T* b, long stride, int n, T* results) where T : unmanaged, INumberBase<T>
    {
        int i = 0, w = Vector<T>.Count;
        T* b1 = b + stride, b2 = b1 + stride, b3 = b2 + stride;
        Vector<T> s0 = default, s1 = default, s2 = default, s3 = default;
        for (; i <= n - w; i += w)
        {
            var va = Vector.Load(a + i);
            s0 += va * Vector.Load(b + i);
            s1 += va * Vector.Load(b1 + i);
            s2 += va * Vector.Load(b2 + i);
            s3 += va * Vector.Load(b3 + i);
        }
        T r0 = Vector.Sum(s0), r1 = Vector.Sum(s1), r2 = Vector.Sum(s2), r3 = Vector.Sum(s3);
        for (; i < n; i++)
        {
            r0 += a[i] * b[i];
            r1 += a[i] * b1[i];
            r2 += a[i] * b2[i];
            r3 += a[i] * b3[i];
        }
        (results[0], results[1], results[2], results[3]) = (r0, r1, r2, r3);
    }
}
