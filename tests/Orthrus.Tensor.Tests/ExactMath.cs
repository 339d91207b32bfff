using System.Numerics;

namespace Orthrus.Tensor.Tests;

/// <summary>Functions in fixed point with 400 bits behind the point: what functions of doubles are judged against.</summary>
internal static class ExactMath
{
    private const int Bits = 400;
    private static readonly BigInteger One = BigInteger.One << Bits;
    // ln 2 = 2 artanh(1/3); pi by Machin's formula.
    private static readonly BigInteger Ln2 = 2 * Artanh(One / 3);
    private static readonly BigInteger Pi = 4 * (4 * Arctan(5) - Arctan(239));

    /// <summary>A number as an exact fixed-point one; needs 400 bits to be enough.</summary>
    public static BigInteger Of(double x)
    {
        if (x == 0) return BigInteger.Zero;
        long bits = BitConverter.DoubleToInt64Bits(x);
        int exponent = (int)(bits >> 52 & 0x7FF);
        BigInteger m = (bits & ((1L << 52) - 1)) | (exponent == 0 ? 0 : 1L << 52);
        int shift = Math.Max(exponent, 1) - 1075 + Bits;
        m = shift >= 0 ? m << shift : m >> -shift;
        return x < 0 ? -m : m;
    }

    /// <summary>e^x, as a fixed-point factor in [0.5, 2] and a power of two.</summary>
    public static (BigInteger Factor, int Power) Exp(BigInteger x)
    {
        int n = (int)Math.Round((double)(x >> (Bits - 60)) / Math.Pow(2, 60) / Math.Log(2));
        BigInteger r = x - n * Ln2, term = One, sum = One;
        for (int k = 1; !term.IsZero; k++)
        {
            term = (term * r >> Bits) / k;
            sum += term;
        }
        return (sum, n);
    }

    /// <summary>1 / (1 + e^-x), scaled up by 2^power.</summary>
    public static (BigInteger Factor, int Power) Sigmoid(BigInteger x)
    {
        // e^-|x| is small, not large; the smaller result is that times the larger one.
        var (e, n) = Exp(-BigInteger.Abs(x));
        BigInteger small = n < -Bits ? 0 : e >> -n, large = (One << Bits) / (One + small);
        return x.Sign >= 0 ? (large, 0) : (e * large >> Bits, n);
    }

    /// <summary>Hyperbolic tangent.</summary>
    public static BigInteger Tanh(BigInteger x)
    {
        var (e, n) = Exp(-2 * BigInteger.Abs(x));
        BigInteger small = n < -Bits ? 0 : e >> -n, t = ((One - small) << Bits) / (One + small);
        return x.Sign < 0 ? -t : t;
    }

    /// <summary>log(1 + u), 0 to 1.</summary>
    public static BigInteger Log1p(BigInteger u) => 2 * Artanh((u << Bits) / (2 * One + u));

    /// <summary>Error function up to 7 or so: Maclaurin's series, whose terms cancel by less than the spare bits.</summary>
    public static BigInteger Erf(BigInteger x)
    {
        BigInteger power = x, sum = x, square = x * x >> Bits;
        for (int n = 1; !power.IsZero; n++)
        {
            power = -(power * square >> Bits) / n;
            sum += power / (2 * n + 1);
        }
        return (2 * sum << Bits) / Sqrt(Pi);
    }

    /// <summary>How far a result is from the exact one, in units in the last place of the exact one (of the smallest number below the normal range).</summary>
    /// <param name="got">The result.</param>
    /// <param name="factor">Fixed-point factor of the exact value.</param>
    /// <param name="power">Power of two of the exact value.</param>
    /// <param name="digits">Significand bits: 24 or 53.</param>
    /// <param name="lowest">Exponent of the smallest number: -149 or -1074.</param>
    public static double Units(double got, BigInteger factor, int power, int digits, int lowest)
    {
        if (factor.IsZero) return got == 0 ? 0 : double.PositiveInfinity;
        int exponent = (int)BigInteger.Abs(factor).GetBitLength() - 1 - Bits + power, unit = Math.Max(exponent - digits + 1, lowest);
        // Both in units / 2^64: got is a multiple of a power of two, so that it scales exactly.
        BigInteger exact = Shift(factor, power - Bits - unit + 64), value = Shift(Of(Math.ScaleB(got, -unit)), 64 - Bits);
        return (double)BigInteger.Abs(value - exact) / Math.Pow(2, 64);
    }

    private static BigInteger Shift(BigInteger v, int by) => by >= 0 ? v << by : v >> -by;

    private static BigInteger Artanh(BigInteger x)
    {
        BigInteger power = x, sum = x, square = x * x >> Bits;
        for (int k = 3; !power.IsZero; k += 2)
        {
            power = power * square >> Bits;
            sum += power / k;
        }
        return sum;
    }

    private static BigInteger Arctan(int inverse)
    {
        BigInteger power = One / inverse, sum = power;
        for (int k = 3, sign = -1; !power.IsZero; k += 2, sign = -sign)
        {
            power /= inverse * inverse;
            sum += sign * power / k;
        }
        return sum;
    }

    private static BigInteger Sqrt(BigInteger x)
    {
        BigInteger target = x << Bits, root = BigInteger.One << (int)(target.GetBitLength() / 2 + 1);
        while (true)
        {
            var next = (root + target / root) >> 1;
            if (next >= root) return root;
            root = next;
        }
    }
}
