namespace Orthrus.Tensor;

/// <summary>The value oracle: plain double precision.</summary>
public readonly record struct Real64(double Value) : IReal<Real64>
{
    /// <inheritdoc/>
    public static Real64 From(double value) => new(value);
    /// <inheritdoc/>
    public static Real64 operator +(Real64 a, Real64 b) => new(a.Value + b.Value);
    /// <inheritdoc/>
    public static Real64 operator -(Real64 a, Real64 b) => new(a.Value - b.Value);
    /// <inheritdoc/>
    public static Real64 operator -(Real64 a) => new(-a.Value);
    /// <inheritdoc/>
    public static Real64 operator *(Real64 a, Real64 b) => new(a.Value * b.Value);
    /// <inheritdoc/>
    public static Real64 operator /(Real64 a, Real64 b) => new(a.Value / b.Value);
    /// <inheritdoc/>
    public static Real64 Exp(Real64 x) => new(Math.Exp(x.Value));
    /// <inheritdoc/>
    public static Real64 Log(Real64 x) => new(Math.Log(x.Value));
    /// <inheritdoc/>
    public static Real64 Log1p(Real64 x) => new(SpecialFunctions.Log1p(x.Value));
    /// <inheritdoc/>
    public static Real64 Sqrt(Real64 x) => new(Math.Sqrt(x.Value));
    /// <inheritdoc/>
    public static Real64 Tanh(Real64 x) => new(Math.Tanh(x.Value));
    /// <inheritdoc/>
    public static Real64 Erf(Real64 x) => new(SpecialFunctions.Erf(x.Value));
}
