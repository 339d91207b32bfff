using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

internal interface ISpecial
{
    static abstract Vector512<double> Do(Vector512<double> a);
}

/// <summary>
/// The functions of the special-function unit, computed in double precision and rounded once. With
/// <see cref="SimOptions.SpecialFunctionError"/> the results move within the error that the PTX manual documents.
/// </summary>
internal static unsafe class SpecialFunctions
{
    /// <summary>X: bit 0 .ftz; Imm: documented error in units of the last place, negative for an absolute error of 2^Imm.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Run<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ISpecial
    {
        var a = (Vector512<float>*)(r + i->A);
        Vector512<float> x = a[0], y = a[1];
        bool flush = (i->X & 1) != 0;
        if (flush)
        {
            x = FloatOps.Flush(x);
            y = FloatOps.Flush(y);
        }

        (Vector512<double> x0, Vector512<double> x1) = Vector512.Widen(x);
        (Vector512<double> y0, Vector512<double> y1) = Vector512.Widen(y);
        Vector512<float> u = FloatOps.Canonical(Vector512.Narrow(T.Do(x0), T.Do(x1))).AsSingle();
        Vector512<float> v = FloatOps.Canonical(Vector512.Narrow(T.Do(y0), T.Do(y1))).AsSingle();
        if (core.SpecialError)
        {
            u = Perturb(u, x, i->Imm, core.SpecialSeed);
            v = Perturb(v, y, i->Imm, core.SpecialSeed);
        }

        if (flush)
        {
            u = FloatOps.Flush(u);
            v = FloatOps.Flush(v);
        }

        Lanes.Store(r + i->D, u, v, m);
        return i + 1;
    }

    /// <summary>
    /// Moves finite results by a step that depends on the input alone, so that equal inputs keep equal results. Results for inputs of zero stay: the PTX manual's
    /// tables of corner cases give them exactly (ex2 and cos of 0 are 1, and kernels build on a decay of 1).
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Vector512<float> Perturb(Vector512<float> result, Vector512<float> input, long bound, uint seed)
    {
        Span<float> values = stackalloc float[16], inputs = stackalloc float[16];
        result.CopyTo(values);
        input.CopyTo(inputs);
        for (int l = 0; l < 16; l++)
        {
            float v = values[l];
            if (!float.IsFinite(v) || v == 0 || inputs[l] == 0)
                continue;
            uint hash = (BitConverter.SingleToUInt32Bits(inputs[l]) ^ seed) * 0x9E3779B1u;
            hash ^= hash >> 15;
            hash *= 0x85EBCA77u;
            hash ^= hash >> 13;
            if (bound < 0)
            {
                double step = Math.ScaleB((hash / 2147483648.0) - 1, (int)bound);
                values[l] = (float)(v + step);
            }
            else
            {
                int step = (int)(hash % (uint)((2 * bound) + 1)) - (int)bound;
                float moved = BitConverter.UInt32BitsToSingle((uint)((int)BitConverter.SingleToUInt32Bits(v) + step));
                if (float.IsFinite(moved))
                    values[l] = moved;
            }
        }

        return Vector512.Create<float>(values);
    }

    public readonly struct Exp2 : ISpecial
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<double> Do(Vector512<double> a)
        {
            Vector512<double> x = Vector512.ConditionalSelect(Vector512.GreaterThan(a, Vector512.Create(200.0)), Vector512.Create(200.0), a);
            x = Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(-300.0)), Vector512.Create(-300.0), x);
            // Adding 1.5 x 2^52 rounds to an integer that then stands in the low bits.
            Vector512<double> magic = Vector512.Create(6755399441055744.0);
            Vector512<double> shifted = x + magic;
            Vector512<double> f = x - (shifted - magic);
            Vector512<double> p = Vector512.Create(7.0549116208011233e-9);
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.0178086009239700e-7));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.3215486790144309e-6));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.5252733804059841e-5));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.5403530393381609e-4));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(1.3333558146428443e-3));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(9.6181291076284772e-3));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(5.5504108664821580e-2));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(2.4022650695910071e-1));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512.Create(6.9314718055994531e-1));
            p = Vector512.FusedMultiplyAdd(p, f, Vector512<double>.One);
            return (p.AsInt64() + (shifted.AsInt64() << 52)).AsDouble();
        }
    }

    public readonly struct Log2 : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Vector512.Log2(a);
    }

    public readonly struct Sin : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Each(a, Math.Sin);
    }

    public readonly struct Cos : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Each(a, Math.Cos);
    }

    public readonly struct Tanh : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Each(a, Math.Tanh);
    }

    public readonly struct Rcp : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Vector512<double>.One / a;
    }

    public readonly struct Rsqrt : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Vector512<double>.One / Vector512.Sqrt(a);
    }

    public readonly struct Sqrt : ISpecial
    {
        public static Vector512<double> Do(Vector512<double> a) => Vector512.Sqrt(a);
    }

    private static Vector512<double> Each(Vector512<double> a, Func<double, double> f)
    {
        Vector512<double> d = default;
        for (int l = 0; l < 8; l++)
            d = d.WithElement(l, f(a[l]));
        return d;
    }
}
