namespace Orthrus.Tensor;

/// <summary>
/// The abstract number in which specifications are written. One specification, several oracles: <see cref="Real64"/> gives the value,
/// <see cref="Dual{R}"/> the exact directional derivative, <see cref="Bound"/> a first-order bound of the rounding error.
/// </summary>
/// <remarks>Branches look at <see cref="Value"/>; a kink takes the derivative of the branch that the value selects.</remarks>
public interface IReal<R> where R : struct, IReal<R>
{
    /// <summary>A constant: no derivative, no error.</summary>
    static abstract R From(double value);
    /// <summary>The value alone.</summary>
    double Value { get; }
    /// <summary>Sum.</summary>
    static abstract R operator +(R a, R b);
    /// <summary>Difference.</summary>
    static abstract R operator -(R a, R b);
    /// <summary>Negative.</summary>
    static abstract R operator -(R a);
    /// <summary>Product.</summary>
    static abstract R operator *(R a, R b);
    /// <summary>Quotient.</summary>
    static abstract R operator /(R a, R b);
    /// <summary>e to the x.</summary>
    static abstract R Exp(R x);
    /// <summary>Natural logarithm.</summary>
    static abstract R Log(R x);
    /// <summary>log(1 + x), accurate near 0.</summary>
    static abstract R Log1p(R x);
    /// <summary>Square root.</summary>
    static abstract R Sqrt(R x);
    /// <summary>Hyperbolic tangent.</summary>
    static abstract R Tanh(R x);
    /// <summary>Error function.</summary>
    static abstract R Erf(R x);
}

/// <summary>Shorthands on <see cref="IReal{R}"/> for specifications.</summary>
public static class Real
{
    /// <summary>1 / (1 + exp(-x)), in the form that does not overflow.</summary>
    public static R Sigmoid<R>(R x) where R : struct, IReal<R>
    {
        var one = R.From(1);
        if (x.Value >= 0) return one / (one + R.Exp(-x));
        var e = R.Exp(x);
        return e / (one + e);
    }

    /// <summary>log(1 + exp(x)); x itself above 20, as upstream's kernel has it.</summary>
    public static R Softplus<R>(R x) where R : struct, IReal<R> => x.Value > 20 ? x : R.Log1p(R.Exp(x));

    /// <summary>x sigmoid(x).</summary>
    public static R SiLU<R>(R x) where R : struct, IReal<R> => x * Sigmoid(x);

    /// <summary>The larger of two; of equal ones the first.</summary>
    public static R Max<R>(R a, R b) where R : struct, IReal<R> => a.Value >= b.Value || double.IsNaN(a.Value) ? a : b;
}
