namespace Orthrus.Mamba;

/// <summary>Names and shapes of an encoder's tensors in published order, and how they are initialised.</summary>
public static class EncoderLayout
{
    private const string Forward = "mamba_fwd.", Reverse = "mamba_rev.";

    /// <summary>
    /// Names and shapes, in the order of upstream's state dict: 4 + 11 NLayer tensors. A bidirectional encoder has 4 + 18 NLayer: its reverse mixers
    /// share in_proj and out_proj with the forward ones, and the shared tensors stand under the forward name alone.
    /// </summary>
    public static IEnumerable<(string Name, long[] Shape)> Tensors(MambaConfig c)
    {
        long d = c.DModel, e = c.DInner, r = c.DtRank, n = c.DState;
        yield return ("embedding.weight", [d, c.NTracks]);
        yield return ("embedding.bias", [d]);
        for (int i = 0; i < c.NLayer; i++)
        {
            string p = $"layers.{i}.";
            foreach (string direction in c.Bidirectional ? new[] { Forward, Reverse } : [""])
            {
                string mixer = p + "mixer." + direction;
                yield return (mixer + "A_log", [e, n]);
                yield return (mixer + "D", [e]);
                if (direction != Reverse) yield return (mixer + "in_proj.weight", [2 * e, d]);
                yield return (mixer + "conv1d.weight", [e, 1, c.DConv]);
                yield return (mixer + "conv1d.bias", [e]);
                yield return (mixer + "x_proj.weight", [r + 2 * n, e]);
                yield return (mixer + "dt_proj.weight", [e, r]);
                yield return (mixer + "dt_proj.bias", [e]);
                if (direction != Reverse) yield return (mixer + "out_proj.weight", [d, e]);
            }
            yield return (p + "norm.weight", [d]);
            yield return (p + "norm.bias", [d]);
        }
        yield return ("norm_f.weight", [d]);
        yield return ("norm_f.bias", [d]);
    }

    /// <summary>Number of parameters of the encoder without heads.</summary>
    public static long ParameterCount(MambaConfig c) => Tensors(c).Sum(t => t.Shape.Aggregate(1L, (a, b) => a * b));

    /// <summary>
    /// Random weights by upstream's rules: uniform within 1/sqrt(fan-in), S4D-real A, delta bias for steps of 0.001 to 0.1, out_proj divided by
    /// sqrt(NLayer). Every tensor has a generator of its own, keyed by seed and name, so the numbers do not depend on order or machine.
    /// </summary>
    public static StateDict Initialise(MambaConfig c, ulong seed)
    {
        var state = new StateDict();
        foreach (var (name, shape) in Tensors(c))
        {
            var random = new Tensor.SampleRandom(seed ^ Fnv1a(name));
            var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
            string leaf = name.Split('.', 3) is [_, _, var rest] && name.StartsWith("layers.", StringComparison.Ordinal) ? rest.Replace(Forward, "").Replace(Reverse, "") : name;
            for (int i = 0; i < values.Length; i++) values[i] = (float)Initial(leaf, c, i, random);
            state.Add(StateTensor.FromSingle(name, values, shape));
        }
        return state;
    }

    private static double Initial(string leaf, MambaConfig c, int i, Tensor.SampleRandom random)
    {
        double Uniform(double bound) => (2 * random.Uniform() - 1) * bound;
        switch (leaf)
        {
            case "embedding.weight": return Uniform(1 / Math.Sqrt(c.NTracks));
            case "mixer.A_log": return Math.Log(i % c.DState + 1);
            case "mixer.D" or "norm.weight" or "norm_f.weight": return 1;
            case "mixer.in_proj.weight": return Uniform(1 / Math.Sqrt(c.DModel));
            case "mixer.conv1d.weight" or "mixer.conv1d.bias": return Uniform(1 / Math.Sqrt(c.DConv));
            case "mixer.x_proj.weight": return Uniform(1 / Math.Sqrt(c.DInner));
            case "mixer.dt_proj.weight": return Uniform(1 / Math.Sqrt(c.DtRank));
            case "mixer.dt_proj.bias":
                double step = Math.Max(1e-4, Math.Exp(random.Uniform() * (Math.Log(0.1) - Math.Log(0.001)) + Math.Log(0.001)));
                return step + Math.Log(-Tensor.SpecialFunctions.Expm1(-step));
            case "mixer.out_proj.weight": return Uniform(1 / Math.Sqrt(c.DInner)) / Math.Sqrt(c.NLayer);
            default: return 0;
        }
    }

    private static ulong Fnv1a(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in text) hash = (hash ^ c) * 1099511628211;
        return hash;
    }
}
