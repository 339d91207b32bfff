using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor.Tests;

/// <summary>The stated error bounds of vector functions, swept in every width (also emulated ones), in float and double, against 400-bit arithmetic.</summary>
public class VectorMathTests
{
    public static TheoryData<int> Widths => [.. VectorWidths.All];

    [Theory, MemberData(nameof(Widths))]
    public void Exp_is_good_to_its_bound(int width)
    {
        Sweep<float>(width, Function.Exp, Points(-104, 89), 1.5, ExactMath.Exp);
        Sweep<double>(width, Function.Exp, Points(-746, 709.7), 1.5, ExactMath.Exp);
    }

    [Theory, MemberData(nameof(Widths))]
    public void Sigmoid_is_good_to_its_bound(int width)
    {
        Sweep<float>(width, Function.Sigmoid, Points(-104, 104), 2.5, ExactMath.Sigmoid);
        Sweep<double>(width, Function.Sigmoid, Points(-746, 746), 2.5, ExactMath.Sigmoid);
        Sweep<float>(width, Function.SigmoidComplement, Points(-104, 104), 2.5, x => ExactMath.Sigmoid(-x));
        Sweep<double>(width, Function.SigmoidComplement, Points(-746, 746), 2.5, x => ExactMath.Sigmoid(-x));
    }

    [Theory, MemberData(nameof(Widths))]
    public void Tanh_is_good_to_its_bound(int width)
    {
        Sweep<float>(width, Function.Tanh, Points(-12, 12), 3, x => (ExactMath.Tanh(x), 0));
        Sweep<double>(width, Function.Tanh, Points(-25, 25), 3, x => (ExactMath.Tanh(x), 0));
    }

    [Theory, MemberData(nameof(Widths))]
    public void Log1p_is_good_to_its_bound(int width)
    {
        Sweep<float>(width, Function.Log1p, Points(0, 1), 2.5, x => (ExactMath.Log1p(x), 0));
        Sweep<double>(width, Function.Log1p, Points(0, 1), 2.5, x => (ExactMath.Log1p(x), 0));
    }

    [Theory, MemberData(nameof(Widths))]
    public void Erf_is_good_to_its_bound(int width)
    {
        Sweep<float>(width, Function.Erf, Points(-5, 5), 2.5, x => (ExactMath.Erf(x), 0));
        Sweep<double>(width, Function.Erf, Points(-6.5, 6.5), 2.5, x => (ExactMath.Erf(x), 0));
    }

    [Theory, MemberData(nameof(Widths))]
    public void Softplus_of_the_streaming_encoder_in_double(int width)
    {
        double[] x = [.. Points(-40, 20).Where(v => Math.Abs(v) > 1e-3)], y = Values(width, Function.Softplus, x);
        for (int i = 0; i < x.Length; i++)
        {
            double u = Math.Exp(-Math.Abs(x[i])), want = Math.Max(x[i], 0) + Orthrus.Tensor.SpecialFunctions.Log1p(u);
            // e^x rounds its argument once, so that far to the left the error grows with it.
            Assert.True(Math.Abs(y[i] - want) <= 1e-15 * (1 + Math.Abs(x[i])) * want, $"softplus({x[i]:G17}) = {y[i]:G17}, want {want:G17}");
        }
    }

    [Theory, MemberData(nameof(Widths))]
    public void Softplus_of_the_streaming_encoder_in_float(int width)
    {
        float[] x = Array.ConvertAll(Points(-40, 20).Where(v => Math.Abs(v) > 1e-3).ToArray(), v => (float)v), y = Values(width, Function.Softplus, x);
        for (int i = 0; i < x.Length; i++)
        {
            double want = Math.Max(x[i], 0) + Orthrus.Tensor.SpecialFunctions.Log1p(Math.Exp(-Math.Abs((double)x[i])));
            Assert.True(Math.Abs(y[i] - want) <= 3e-7 * (1 + Math.Abs(x[i])) * want, $"softplus({x[i]:G9}) = {y[i]:G9}, want {want:G9}");
        }
    }

    [Theory, MemberData(nameof(Widths))]
    public void Ends_of_the_range_and_NaN(int width)
    {
        Ends<float>(width);
        Ends<double>(width);
    }

    private static void Ends<T>(int width) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T[] Of(Function f, params double[] x) => Values(width, f, Array.ConvertAll(x, T.CreateSaturating));
        const double inf = double.PositiveInfinity, nan = double.NaN;
        Assert.Equal(Array.ConvertAll([0, 1, inf, inf, 0, nan], T.CreateSaturating), Of(Function.Exp, -inf, 0, inf, 1e30, -1e30, nan));
        Assert.Equal(Array.ConvertAll([0, 0.5, 1, 1, 0, nan], T.CreateSaturating), Of(Function.Sigmoid, -inf, 0, inf, 1e30, -1e30, nan));
        Assert.Equal(Array.ConvertAll([1, 0.5, 0, 0, 1, nan], T.CreateSaturating), Of(Function.SigmoidComplement, -inf, 0, inf, 1e30, -1e30, nan));
        Assert.Equal(Array.ConvertAll([-1, 0, 1, 1, -1, nan], T.CreateSaturating), Of(Function.Tanh, -inf, 0, inf, 1e30, -1e30, nan));
        Assert.Equal(Array.ConvertAll([-1, 0, 1, 1, -1, nan], T.CreateSaturating), Of(Function.Erf, -inf, 0, inf, 1e30, -1e30, nan));
        Assert.True(T.IsNaN(Of(Function.Log1p, nan)[0]));
        Assert.True(T.IsNegative(Of(Function.Tanh, -0.0)[0]) && T.IsNegative(Of(Function.Erf, -0.0)[0]));
    }

    private enum Function { Exp, Sigmoid, SigmoidComplement, Tanh, Log1p, Erf, Softplus }

    /// <summary>Even steps, and steps of the logarithm towards 0.</summary>
    private static double[] Points(double low, double high)
    {
        var random = new SampleRandom(5);
        var points = new List<double> { low, high };
        for (int i = 0; i < 1200; i++) points.Add(low + (high - low) * random.Uniform());
        for (int i = 0; i < 400; i++)
        {
            double small = Math.Pow(2, -40 * random.Uniform());
            points.Add(high * small);
            points.Add(low * small);
        }
        return [.. points];
    }

    private static void Sweep<T>(int width, Function f, double[] points, double bound, Func<BigInteger, (BigInteger Factor, int Power)> exact)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var x = Array.ConvertAll(points, T.CreateSaturating);
        var y = Values(width, f, x);
        bool single = typeof(T) == typeof(float);
        double worst = 0, at = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double value = double.CreateChecked(x[i]), got = double.CreateChecked(y[i]);
            var (factor, power) = exact(ExactMath.Of(value));
            if (double.IsInfinity(got) && power + (double)factor.GetBitLength() - 401 >= (single ? 127 : 1023)) continue;
            double units = ExactMath.Units(got, factor, power, single ? 24 : 53, single ? -149 : -1074);
            if (units > worst) (worst, at) = (units, value);
        }
        Assert.True(worst <= bound, $"{f} of {typeof(T).Name}, {width} bits: {worst:G4} units at {at:G17}, bound {bound}");
    }

    private static T[] Values<T>(int width, Function f, T[] x) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var code = new Call<T> { Function = f, X = x, Y = new T[x.Length] };
        SimdDispatch.Run<T, Call<T>>(width, ref code);
        return code.Y;
    }

    private struct Call<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        public Function Function;
        public T[] X, Y;

        public readonly unsafe void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            T* lanes = stackalloc T[V.Lanes];
            for (int i = 0; i < X.Length; i += V.Lanes)
            {
                for (int j = 0; j < V.Lanes; j++) lanes[j] = i + j < X.Length ? X[i + j] : T.Zero;
                V v = V.Load(lanes);
                switch (Function)
                {
                    case Function.Exp: v = VectorMath.Exp<V, T>(v); break;
                    case Function.Sigmoid: v = VectorMath.Sigmoid<V, T>(v); break;
                    case Function.SigmoidComplement: VectorMath.Sigmoid<V, T>(v, out v); break;
                    case Function.Tanh: v = VectorMath.Tanh<V, T>(v); break;
                    case Function.Log1p: v = VectorMath.Log1p<V, T>(v); break;
                    case Function.Softplus: v = VectorMath.Softplus<V, T>(v); break;
                    default: v = VectorMath.Erf<V, T>(v); break;
                }
                V.Store(lanes, v);
                for (int j = 0; j < V.Lanes && i + j < X.Length; j++) Y[i + j] = lanes[j];
            }
        }
    }
}
