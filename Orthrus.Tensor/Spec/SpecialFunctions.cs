namespace Orthrus.Tensor;

/// <summary>Double-precision functions that the framework lacks.</summary>
public static class SpecialFunctions
{
    /// <summary>log(1 + x) without loss near 0, within 2 units in the last place for x &gt; -0.5.</summary>
    public static double Log1p(double x)
    {
        // Kahan's correction: log(u) x / (u - 1) cancels the rounding made in u = 1 + x.
        double u = 1 + x;
        if (u == 1) return x;
        return double.IsInfinity(u) || u <= 0 ? Math.Log(u) : Math.Log(u) * (x / (u - 1));
    }

    /// <summary>exp(x) - 1 without loss near 0.</summary>
    public static double Expm1(double x)
    {
        double u = Math.Exp(x);
        if (u == 1) return x;
        double um1 = u - 1;
        if (um1 == -1 || double.IsInfinity(u)) return um1;
        return um1 * (x / Math.Log(u));
    }

    /// <summary>
    /// Error function, within a few units in the last place: Maclaurin series below 1.5, continued fraction of erfc above (Abramowitz and Stegun 7.1.6,
    /// 7.1.14).
    /// </summary>
    public static double Erf(double x)
    {
        double a = Math.Abs(x);
        if (double.IsNaN(x)) return x;
        if (a > 6) return Math.Sign(x);
        // exp(-a^2) with what the square loses: its rounding would be multiplied by a^2.
        double square = a * a, gauss = Math.Exp(-square) * (1 - Math.FusedMultiplyAdd(a, a, -square));
        if (a < 1.5)
        {
            // erf(x) = 2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (1 3 5 ... (2n+1)): all terms positive, no cancellation.
            double term = a, sum = a;
            for (int n = 1; term > sum * 1e-17; n++)
            {
                term *= 2 * square / (2 * n + 1);
                sum += term;
            }
            return Math.CopySign(2 / Math.Sqrt(Math.PI) * gauss * sum, x);
        }
        double f = 0;
        for (int k = 120; k >= 1; k--) f = k / 2.0 / (a + f);
        return Math.CopySign(1 - gauss / (Math.Sqrt(Math.PI) * (a + f)), x);
    }
}
