using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>Conversion between element types, at the edge of computation: weights and results may be stored in BF16 or F16.</summary>
public static class CastExtensions
{
    /// <summary>
    /// A copy of a tensor with another floating element type. Widening is exact; narrowing rounds to nearest, ties to even, keeps NaN, and
    /// turns what is out of range into infinity.
    /// </summary>
    /// <param name="scope">Owner of the copy.</param>
    /// <param name="source">F32, F64, BF16 or F16, any shape, on the CPU; F32 or BF16 on a CUDA device.</param>
    /// <param name="dtype">F32, F64, BF16 or F16.</param>
    /// <exception cref="ShapeException">One of the types holds integers.</exception>
    public static Tensor Cast(this Scope scope, in Tensor source, DType dtype)
    {
        if (source.DType == dtype) return scope.Clone(source);
        var target = scope.Empty(source.Shape, dtype);
        if (source.Device.Kind == DeviceKind.Cuda) CudaCast.Run(source, target);
        else switch (source.DType)
        {
            case DType.F32: To<float>(source, target); break;
            case DType.F64: To<double>(source, target); break;
            case DType.BF16: To<BFloat16>(source, target); break;
            case DType.F16: To<Half>(source, target); break;
            default: throw new ShapeException($"cast from {source.DType} to {dtype}: only floating types are converted");
        }
        return target;
    }

    private static void To<TFrom>(in Tensor source, in Tensor target) where TFrom : unmanaged
    {
        switch (target.DType)
        {
            case DType.F32: Convert<TFrom, float>(source, target); break;
            case DType.F64: Convert<TFrom, double>(source, target); break;
            case DType.BF16: Convert<TFrom, BFloat16>(source, target); break;
            case DType.F16: Convert<TFrom, Half>(source, target); break;
            default: throw new ShapeException($"cast from {source.DType} to {target.DType}: only floating types are converted");
        }
    }

    private static unsafe void Convert<TFrom, TTo>(in Tensor source, in Tensor target) where TFrom : unmanaged where TTo : unmanaged
    {
        TFrom* from = source.Pointer<TFrom>();
        TTo* to = target.Pointer<TTo>();
        long n = source.Count;
        for (long i = 0; i < n; i++)
        {
            // Through double only where the source is double: its rounding to BF16 must not happen twice.
            if (typeof(TFrom) == typeof(double)) to[i] = FromDouble<TTo>((double)(object)from[i]);
            else to[i] = FromSingle<TTo>(typeof(TFrom) == typeof(float) ? (float)(object)from[i] : typeof(TFrom) == typeof(Half) ? (float)(Half)(object)from[i] : (float)(BFloat16)(object)from[i]);
        }
    }

    private static TTo FromSingle<TTo>(float value) where TTo : unmanaged =>
        typeof(TTo) == typeof(float) ? (TTo)(object)value :
        typeof(TTo) == typeof(double) ? (TTo)(object)(double)value :
        typeof(TTo) == typeof(Half) ? (TTo)(object)(Half)value : (TTo)(object)(BFloat16)value;

    private static TTo FromDouble<TTo>(double value) where TTo : unmanaged =>
        typeof(TTo) == typeof(float) ? (TTo)(object)(float)value :
        typeof(TTo) == typeof(double) ? (TTo)(object)value :
        typeof(TTo) == typeof(Half) ? (TTo)(object)(Half)value : (TTo)(object)RoundOnce(value);

    // double -> float rounded to odd keeps the sticky bit, so the second rounding to BF16 is the only one that counts.
    private static BFloat16 RoundOnce(double value)
    {
        float f = (float)value;
        if (double.IsNaN(value) || float.IsInfinity(f) || f == value) return (BFloat16)f;
        uint bits = BitConverter.SingleToUInt32Bits(f);
        if ((bits & 1) == 0)
        {
            // Step to the odd neighbour on the other side of the value.
            bool towardsZero = Math.Abs((double)f) > Math.Abs(value);
            bits = towardsZero ? bits - 1 : bits + 1;
        }
        return (BFloat16)BitConverter.UInt32BitsToSingle(bits);
    }
}
