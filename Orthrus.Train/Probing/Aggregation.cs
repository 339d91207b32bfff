namespace Orthrus.Train.Probing;

/// <summary>What several runs of one measurement say together. Source: specification 8.3.</summary>
public static class Aggregation
{
    private const double Normal95 = 1.96;

    /// <summary>Mean of values, half the width of its 95 % interval (1.96 times population standard deviation / √n), and the sample standard deviation.</summary>
    /// <param name="values">One per seed.</param>
    public static (double Mean, double HalfWidth, double SampleDeviation) Summarise(ReadOnlySpan<double> values)
    {
        double mean = Metrics.Mean(values), squares = 0;
        foreach (double v in values) squares += (v - mean) * (v - mean);
        return (mean, Normal95 * Math.Sqrt(squares / values.Length) / Math.Sqrt(values.Length), Math.Sqrt(squares / (values.Length - 1)));
    }

    /// <summary>Fisher's transform of a correlation: atanh of it, clipped to ±(1 - 1e-9).</summary>
    public static double Fisher(double correlation) => Math.Atanh(Math.Clamp(correlation, -1 + 1e-9, 1 - 1e-9));

    /// <summary>Values as distances from their mean in standard deviations; 0 where that is not finite.</summary>
    /// <param name="values">All values of one task, over models and seeds.</param>
    /// <param name="sample">True divides the variance by n - 1, false by n: the source does not say which.</param>
    public static double[] ZScores(ReadOnlySpan<double> values, bool sample)
    {
        double mean = Metrics.Mean(values), squares = 0;
        bool varies = false;
        foreach (double v in values)
        {
            squares += (v - mean) * (v - mean);
            varies |= v != values[0];
        }
        double deviation = Math.Sqrt(squares / (sample ? values.Length - 1 : values.Length));
        var scores = new double[values.Length];
        for (int i = 0; i < scores.Length; i++)
        {
            double z = (values[i] - mean) / deviation;
            scores[i] = varies && double.IsFinite(z) ? z : 0;
        }
        return scores;
    }

    /// <summary>Student's paired test of the difference of two lists, two-sided.</summary>
    /// <param name="a">n values, at least 2.</param>
    /// <param name="b">n values of the same cases.</param>
    /// <returns>t of a - b, and the probability of one as large where there is no difference; NaN where all differences are 0.</returns>
    public static (double T, double P) PairedTTest(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        if (a.Length != b.Length || a.Length < 2) throw new ArgumentException($"lists of {a.Length} and {b.Length} values: a paired test needs two equal ones, of at least 2", nameof(b));
        double n = a.Length, mean = 0, squares = 0;
        for (int i = 0; i < a.Length; i++) mean += (a[i] - b[i]) / n;
        for (int i = 0; i < a.Length; i++) squares += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
        double t = mean / Math.Sqrt(squares / (n - 1) / n), freedom = n - 1;
        return (t, double.IsNaN(t) ? t : IncompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5));
    }

    // Regularised incomplete beta function by its continued fraction, by Lentz's method.
    private static double IncompleteBeta(double x, double a, double b)
    {
        if (x is <= 0 or >= 1) return x <= 0 ? 0 : 1;
        if (x > (a + 1) / (a + b + 2)) return 1 - IncompleteBeta(1 - x, b, a);
        double front = Math.Exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * Math.Log(x) + b * Math.Log(1 - x)) / a;
        const double tiny = 1e-300;
        double c = 1, d = 1 / Away(1 - (a + b) * x / (a + 1)), fraction = d;
        for (int m = 1; m <= 500; m++)
        {
            double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
            Step(even);
            if (Math.Abs(Step(odd) - 1) < 1e-15) break;
        }
        return front * fraction;

        double Step(double term)
        {
            d = 1 / Away(1 + term * d);
            c = Away(1 + term / c);
            fraction *= c * d;
            return c * d;
        }

        static double Away(double v) => Math.Abs(v) < tiny ? tiny : v;
    }

    // Lanczos' approximation with g = 7, nine terms; better than 1e-14 for arguments above 0.5.
    private static double LogGamma(double x)
    {
        ReadOnlySpan<double> terms =
        [
            0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
            -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
        ];
        x -= 1;
        double sum = terms[0], t = x + 7.5;
        for (int i = 1; i < terms.Length; i++) sum += terms[i] / (x + i);
        return 0.5 * Math.Log(2 * Math.PI) + (x + 0.5) * Math.Log(t) - t + Math.Log(sum);
    }
}
