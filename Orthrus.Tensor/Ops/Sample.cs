namespace Orthrus.Tensor;

/// <summary>
/// One row for tests, gradient checks and benchmarks: options and a recipe for each operand. Values depend on the seed alone and are
/// representable in float32, so that every precision computes from the same numbers.
/// </summary>
/// <param name="Name">Short, unique within the operator; says what is special.</param>
/// <param name="Attr">Options.</param>
/// <param name="Inputs">Recipe of each operand, in the order of the signature.</param>
public sealed record Sample<TAttr>(string Name, TAttr Attr, params SampleInput[] Inputs) where TAttr : unmanaged
{
    /// <summary>Rows that are worth timing; they are too large for the specification and are left out of checks.</summary>
    public bool Bench { get; init; }

    /// <summary>
    /// Factor on the computed error bound, 4 unless a comment beside the row says why more is needed (4 covers reordered sums and functions
    /// that are good to two units in the last place).
    /// </summary>
    public double Slack { get; init; } = 4;
}

/// <summary>Recipe of one operand of a sample.</summary>
public sealed record SampleInput
{
    private readonly Func<SampleRandom, long, double>? _fill;

    private SampleInput(Shape shape, bool integer, bool present, Func<SampleRandom, long, double>? fill)
    {
        (Shape, IsInteger, Present, _fill) = (shape, integer, present, fill);
    }

    /// <summary>Extents.</summary>
    public Shape Shape { get; }
    /// <summary>Integers rather than reals.</summary>
    public bool IsInteger { get; }
    /// <summary>False for an absent optional operand.</summary>
    public bool Present { get; }
    /// <summary>Element type of an integer operand (I32, or U8 for track bytes and labels).</summary>
    public DType IntegerType { get; private init; } = DType.I32;

    /// <summary>An absent optional operand.</summary>
    public static SampleInput Absent { get; } = new(default, false, false, null);

    /// <summary>Normal deviates.</summary>
    public static SampleInput Normal(Shape shape, double scale = 1, double mean = 0) => new(shape, false, true, (r, _) => mean + scale * r.Normal());

    /// <summary>Uniform deviates in [low, high).</summary>
    public static SampleInput Uniform(Shape shape, double low, double high) => new(shape, false, true, (r, _) => low + (high - low) * r.Uniform());

    /// <summary>Values by position, then repeated.</summary>
    public static SampleInput Values(Shape shape, params double[] values) => new(shape, false, true, (_, i) => values[i % values.Length]);

    /// <summary>Uniform integers in [low, high].</summary>
    public static SampleInput Ints(Shape shape, int low, int high, DType dtype = DType.I32) =>
        new(shape, true, true, (r, _) => low + (int)Math.Floor(r.Uniform() * (high - low + 1.0))) { IntegerType = dtype };

    /// <summary>Integers by position, then repeated.</summary>
    public static SampleInput IntValues(Shape shape, DType dtype, params long[] values) =>
        new(shape, true, true, (_, i) => values[i % values.Length]) { IntegerType = dtype };

    /// <summary>The values for a seed, each representable in float32.</summary>
    public double[] Make(ulong seed, int operand)
    {
        if (!Present) return [];
        var random = new SampleRandom(seed * 0x9E3779B97F4A7C15 + (ulong)operand + 1);
        var values = new double[Shape.Count];
        for (long i = 0; i < values.Length; i++) values[i] = IsInteger ? _fill!(random, i) : (float)_fill!(random, i);
        return values;
    }
}

/// <summary>SplitMix64 (Steele, Lea and Flood 2014) with normal deviates by Box and Muller: small, seeded, the same everywhere.</summary>
public sealed class SampleRandom(ulong seed)
{
    private ulong _state = seed;

    /// <summary>64 random bits.</summary>
    public ulong Bits()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in [0, 1).</summary>
    public double Uniform() => (Bits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Standard normal.</summary>
    public double Normal() => Math.Sqrt(-2 * Math.Log(1 - Uniform())) * Math.Cos(2 * Math.PI * Uniform());
}
