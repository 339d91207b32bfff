namespace Orthrus.Tensor;

/// <summary>
/// Value and directional derivative. Over <see cref="Real64"/> the derivative is exact but for rounding: no step size, no cancellation. Over
/// <see cref="Bound"/> the derivative carries its own error bound.
/// </summary>
/// <param name="X">The value.</param>
/// <param name="D">Its derivative along the chosen direction.</param>
public readonly record struct Dual<R>(R X, R D) : IReal<Dual<R>> where R : struct, IReal<R>
{
    /// <inheritdoc/>
    public double Value => X.Value;
    /// <inheritdoc/>
    public static Dual<R> From(double value) => new(R.From(value), R.From(0));
    /// <inheritdoc/>
    public static Dual<R> operator +(Dual<R> a, Dual<R> b) => new(a.X + b.X, a.D + b.D);
    /// <inheritdoc/>
    public static Dual<R> operator -(Dual<R> a, Dual<R> b) => new(a.X - b.X, a.D - b.D);
    /// <inheritdoc/>
    public static Dual<R> operator -(Dual<R> a) => new(-a.X, -a.D);
    /// <inheritdoc/>
    public static Dual<R> operator *(Dual<R> a, Dual<R> b) => new(a.X * b.X, a.D * b.X + a.X * b.D);
    /// <inheritdoc/>
    public static Dual<R> operator /(Dual<R> a, Dual<R> b)
    {
        var q = a.X / b.X;
        return new(q, (a.D - q * b.D) / b.X);
    }
    /// <inheritdoc/>
    public static Dual<R> Exp(Dual<R> x)
    {
        var e = R.Exp(x.X);
        return new(e, e * x.D);
    }
    /// <inheritdoc/>
    public static Dual<R> Log(Dual<R> x) => new(R.Log(x.X), x.D / x.X);
    /// <inheritdoc/>
    public static Dual<R> Log1p(Dual<R> x) => new(R.Log1p(x.X), x.D / (R.From(1) + x.X));
    /// <inheritdoc/>
    public static Dual<R> Sqrt(Dual<R> x)
    {
        var s = R.Sqrt(x.X);
        return new(s, x.D / (s + s));
    }
    /// <inheritdoc/>
    public static Dual<R> Tanh(Dual<R> x)
    {
        var t = R.Tanh(x.X);
        return new(t, (R.From(1) - t * t) * x.D);
    }
    /// <inheritdoc/>
    public static Dual<R> Erf(Dual<R> x) => new(R.Erf(x.X), R.From(2 / Math.Sqrt(Math.PI)) * R.Exp(-(x.X * x.X)) * x.D);
}
