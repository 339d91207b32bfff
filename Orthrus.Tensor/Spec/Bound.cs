namespace Orthrus.Tensor;

/// <summary>
/// The error oracle: a value with a first-order bound of the rounding error that any evaluation in the given order of magnitude
/// accumulates, in units of the machine epsilon (running error analysis; Higham, Accuracy and Stability of Numerical Algorithms, 3.3).
/// </summary>
/// <param name="Value">The value in double precision.</param>
/// <param name="Error">Bound of the absolute error, divided by the unit roundoff of the precision under test.</param>
public readonly record struct Bound(double Value, double Error) : IReal<Bound>
{
    /// <inheritdoc/>
    /// <remarks>A constant that float32 cannot hold is rounded by the kernel: one roundoff of its size.</remarks>
    public static Bound From(double value) => new(value, (float)value == value || double.IsNaN(value) ? 0 : Math.Abs(value));
    /// <inheritdoc/>
    public static Bound operator +(Bound a, Bound b)
    {
        double v = a.Value + b.Value;
        return new(v, a.Error + b.Error + Largest(a.Value, b.Value, v));
    }
    /// <inheritdoc/>
    public static Bound operator -(Bound a, Bound b)
    {
        double v = a.Value - b.Value;
        return new(v, a.Error + b.Error + Largest(a.Value, b.Value, v));
    }
    /// <inheritdoc/>
    public static Bound operator -(Bound a) => new(-a.Value, a.Error);
    /// <inheritdoc/>
    public static Bound operator *(Bound a, Bound b)
    {
        double v = a.Value * b.Value;
        return new(v, Math.Abs(a.Value) * b.Error + Math.Abs(b.Value) * a.Error + Math.Abs(v));
    }
    /// <inheritdoc/>
    public static Bound operator /(Bound a, Bound b)
    {
        double v = a.Value / b.Value;
        return new(v, (a.Error + Math.Abs(v) * b.Error) / Math.Abs(b.Value) + Math.Abs(v));
    }
    /// <inheritdoc/>
    public static Bound Exp(Bound x)
    {
        // Kernels evaluate exp as exp2(x log2 e): the product's rounding counts as one more error of the argument.
        double v = Math.Exp(x.Value);
        if (v == 0) return new(0, 0);
        return new(v, v * (x.Error + Math.Abs(x.Value)) + v);
    }
    /// <inheritdoc/>
    public static Bound Log(Bound x)
    {
        double v = Math.Log(x.Value);
        return new(v, x.Error / Math.Abs(x.Value) + Math.Abs(v));
    }
    /// <inheritdoc/>
    public static Bound Log1p(Bound x)
    {
        double v = SpecialFunctions.Log1p(x.Value);
        return new(v, x.Error / Math.Abs(1 + x.Value) + Math.Abs(v));
    }
    /// <inheritdoc/>
    public static Bound Sqrt(Bound x)
    {
        double v = Math.Sqrt(x.Value);
        return new(v, (v > 0 ? x.Error / (2 * v) : Math.Sqrt(x.Error)) + v);
    }
    /// <inheritdoc/>
    public static Bound Tanh(Bound x)
    {
        double v = Math.Tanh(x.Value);
        return new(v, (1 - v * v) * x.Error + Math.Abs(v));
    }
    /// <inheritdoc/>
    public static Bound Erf(Bound x)
    {
        double v = SpecialFunctions.Erf(x.Value);
        return new(v, 2 / Math.Sqrt(Math.PI) * Math.Exp(-x.Value * x.Value) * x.Error + Math.Abs(v));
    }

    // The rounding of a + b is at most that of the result, but a kernel may add the terms of a longer sum in another order, whose partial sums
    // do not cancel where the specification's do. The size of the terms covers that; the size of the result does not.
    private static double Largest(double a, double b, double v) => Math.Max(Math.Max(Math.Abs(a), Math.Abs(b)), Math.Abs(v));
}
