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
    public static Bound From(double value) => new(value, 0);
    /// <inheritdoc/>
    public static Bound operator +(Bound a, Bound b)
    {
        double v = a.Value + b.Value;
        return new(v, a.Error + b.Error + Math.Abs(v));
    }
    /// <inheritdoc/>
    public static Bound operator -(Bound a, Bound b)
    {
        double v = a.Value - b.Value;
        return new(v, a.Error + b.Error + Math.Abs(v));
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
}
