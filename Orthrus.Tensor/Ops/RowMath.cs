using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Loops over rows of contiguous numbers. Every result depends on the operands, their number and the vector's width alone.</summary>
internal static unsafe class RowMath
{
    /// <summary>x[i] = value.</summary>
    internal static void Fill<T>(T* x, T value, long n) where T : unmanaged
    {
        for (; n > int.MaxValue; n -= int.MaxValue, x += int.MaxValue) new Span<T>(x, int.MaxValue).Fill(value);
        new Span<T>(x, (int)n).Fill(value);
    }

    /// <summary>y += x.</summary>
    internal static void Add<V, T>(T* x, T* y, int n) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes) V.Store(y + i, V.Load(x + i) + V.Load(y + i));
        for (; i < n; i++) y[i] += x[i];
    }

    /// <summary>y *= a.</summary>
    internal static void Scale<V, T>(T a, T* y, int n) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V factor = V.Set(a);
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes) V.Store(y + i, factor * V.Load(y + i));
        for (; i < n; i++) y[i] *= a;
    }

    /// <summary>y += a x.</summary>
    internal static void AddScaled<V, T>(T a, T* x, T* y, int n) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V factor = V.Set(a);
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes) V.Store(y + i, V.Fma(factor, V.Load(x + i), V.Load(y + i)));
        for (; i < n; i++) y[i] += a * x[i];
    }

    /// <summary>Sum of x[i].</summary>
    internal static T Sum<V, T>(T* x, int n) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V lanes = V.Zero;
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes) lanes += V.Load(x + i);
        T sum = V.Sum(lanes);
        for (; i < n; i++) sum += x[i];
        return sum;
    }

    /// <summary>Largest x[i], and at least <paramref name="least"/>; with a NaN among them any of them.</summary>
    internal static T Max<V, T>(T* x, int n, T least) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V max = V.Set(least);
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes) max = V.Max(max, V.Load(x + i));
        V lanes = max;
        T largest = least;
        for (int lane = 0; lane < V.Lanes; lane++) largest = T.Max(largest, ((T*)&lanes)[lane]);
        for (; i < n; i++) largest = T.Max(largest, x[i]);
        return largest;
    }

    /// <summary>Sum of a[i] b[i].</summary>
    internal static T Dot<V, T>(T* a, T* b, int n) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V lanes = V.Zero;
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes) lanes = V.Fma(V.Load(a + i), V.Load(b + i), lanes);
        T sum = V.Sum(lanes);
        for (; i < n; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>Four products with one row: the same additions in the same order as <see cref="Dot"/>, so that ties stay ties.</summary>
    internal static void Dot4<V, T>(T* a, T* b, long stride, int n, T* results) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* b1 = b + stride, b2 = b1 + stride, b3 = b2 + stride;
        V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero;
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes)
        {
            V x = V.Load(a + i);
            s0 = V.Fma(x, V.Load(b + i), s0);
            s1 = V.Fma(x, V.Load(b1 + i), s1);
            s2 = V.Fma(x, V.Load(b2 + i), s2);
            s3 = V.Fma(x, V.Load(b3 + i), s3);
        }
        T r0 = V.Sum(s0), r1 = V.Sum(s1), r2 = V.Sum(s2), r3 = V.Sum(s3);
        for (; i < n; i++)
        {
            r0 += a[i] * b[i];
            r1 += a[i] * b1[i];
            r2 += a[i] * b2[i];
            r3 += a[i] * b3[i];
        }
        (results[0], results[1], results[2], results[3]) = (r0, r1, r2, r3);
    }

    /// <summary>Sum of exp(x[i] - shift), which go to y unless that is null. No x[i] may be much larger than shift. NaN stays NaN.</summary>
    internal static T ExpSum<V, T>(T* x, T shift, T* y, int n) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V from = V.Set(shift), sum = V.Zero;
        int i = 0;
        for (; i <= n - V.Lanes; i += V.Lanes)
        {
            V e = VectorMath.Exp<V, T>(V.Load(x + i) - from);
            sum += e;
            if (y is not null) V.Store(y + i, e);
        }
        if (i < n)
        {
            V e = VectorMath.Exp<V, T>(Edge.Load(x + i, n - i, V.Set(T.NegativeInfinity)) - from);
            sum += e;
            if (y is not null) Edge.Store(y + i, e, n - i);
        }
        return V.Sum(sum);
    }
}
