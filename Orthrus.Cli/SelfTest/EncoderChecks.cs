using System.Globalization;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Cli.SelfTest;

/// <summary>The encoder: against numbers of PyTorch, and in the published sizes against the CPU in float64.</summary>
internal static class EncoderChecks
{
    /// <summary>How far embeddings may be from those of exact arithmetic, as a share of their norm; docs/EMBED.md states them.</summary>
    internal static double EmbeddingLimit(DType dtype) => dtype switch { DType.BF16 => 1e-2, DType.F64 => 1e-12, _ => 2e-6 };

    // The same for gradients; in float32 and float64 the goldens have limits of their own for each tensor.
    private static double GradientLimit(DType dtype) => dtype == DType.BF16 ? 5e-2 : 1e-4;

    private static readonly MambaConfig Base = new(256, 3, 4), Large = new(512, 6, 6);

    internal static void Run(SelfTestLog log, CheckDevices devices, bool full)
    {
        using var cpu = devices.Gpu is null ? new CpuDevice() : null;
        Device device = devices.Gpu ?? (Device)cpu!;
        foreach (var golden in GoldenEncoder.All())
            foreach (var dtype in devices.DTypes) log.Run("golden", $"encoder {golden.Name}", $"{dtype}", () => Compare(golden, dtype, golden.Pass(device, dtype)));
        Embeddings("base 256 x 3", Base, [1, 37, 300]);
        Embeddings("large 512 x 6", Large, [2, 129]);
        if (!full) return;
        Embeddings("base 256 x 3", Base, [12_000]);
        Embeddings("base 256 x 3, pieces of 5,000", Base, [12_000], 5_000);
        foreach (var dtype in devices.DTypes.Where(d => d != DType.F64)) log.Run("long", "gradients of base alone, 12,000 nt", $"{dtype}", () => Gradients(device, dtype, 12_000));
        Embeddings("large 512 x 6", Large, [12_000]);

        void Embeddings(string name, MambaConfig config, int[] lengths, int piece = 0)
        {
            string longest = lengths[^1].ToString("N0", CultureInfo.InvariantCulture);
            foreach (var dtype in devices.DTypes.Where(d => d != DType.F64))
                log.Run(lengths[^1] >= 10_000 ? "long" : "encoder", $"{name}, {(lengths.Length > 1 ? $"{lengths[0]} to " : "")}{longest} nt", $"{dtype}", () => Embedded(devices, dtype, config, lengths, piece));
        }
    }

    /// <summary>A pass against the numbers of PyTorch.</summary>
    internal static Finding Compare(GoldenEncoder golden, DType dtype, EncoderPass pass)
    {
        List<string> problems = [];
        if (dtype == DType.BF16)
        {
            double rep = Distance(golden.Values(golden.Output("rep")!), pass.Representation), worst = 0;
            foreach (var (name, values) in pass.Gradients) worst = Math.Max(worst, Distance(golden.Values(golden.Gradient(name)), values));
            return Near(dtype, rep, worst);
        }
        double activations = 0, gradients = 0;
        foreach (var (name, values) in pass.Activations)
            if (golden.Output(name) is { } key) activations = Math.Max(activations, Share(key, values, name));
        foreach (var (name, values) in pass.Gradients) gradients = Math.Max(gradients, Share(golden.Gradient(name), values, "gradient of " + name));
        return new(string.Create(CultureInfo.InvariantCulture, $"activations {activations:F2}{(pass.Gradients.Count > 0 ? $", gradients {gradients:F2}" : "")}"), Math.Max(activations, gradients), problems);

        double Share(string key, double[] got, string name)
        {
            double[] want = golden.Values(key);
            if (got.Length != want.Length)
            {
                problems.Add($"{name} has {got.Length} numbers, not {want.Length}");
                return double.PositiveInfinity;
            }
            int worst = 0;
            double share = 0, largest = want.Max(Math.Abs);
            double Limit(int i) => golden.Limit(key, want[i], dtype, largest);
            for (int i = 0; i < want.Length; i++)
            {
                double s = Math.Abs(got[i] - want[i]) / Limit(i);
                // Also true of NaN.
                if (!(s <= share)) (share, worst) = (double.IsNaN(s) ? double.PositiveInfinity : s, i);
            }
            if (share > 1) problems.Add(string.Create(CultureInfo.InvariantCulture, $"{name}[{worst}] is {got[worst]:G9}, PyTorch {want[worst]:G9}, limit {Limit(worst):G3}"));
            return share;
        }
    }

    private static Finding Embedded(CheckDevices devices, DType dtype, MambaConfig config, int[] lengths, int piece)
    {
        var model = OrthrusModel.Create(config, seed: 1);
        byte[][] records = [.. lengths.Select((n, i) => Records.Random(n, config.NTracks, i))];
        using var reference = new Embedder(model, new EmbedderOptions { DType = DType.F64 });
        using var embedder = new Embedder(model, new EmbedderOptions { Device = devices.Gpu, DType = dtype, ChunkLength = piece });
        double[][] want = [.. reference.EmbedAll(records, r => r).Select(e => e.Vector64!)];
        float[][] got = [.. embedder.EmbedAll(records, r => r).Select(e => e.Vector)];
        double distance = want.Zip(got, (w, g) => Distance(w, Array.ConvertAll(g, v => (double)v))).Max();
        return Near(dtype, distance);
    }

    private static Finding Gradients(Device device, DType dtype, int length)
    {
        var model = OrthrusModel.Create(Base, seed: 1);
        byte[] tracks = Records.Random(length, Base.NTracks, 0);
        double[] cotangent = [.. Enumerable.Range(0, Base.DModel).Select(i => Math.Cos(1 + i))];
        EncoderPass Pass(Device where, DType type) => EncoderPass.Run(where, type, Base, name => model.Encoder[name].ToDouble(), tracks, [length], cotangent);
        var got = Pass(device, dtype);
        using var cpu = new CpuDevice();
        var want = Pass(cpu, DType.F64);
        return Near(dtype, Distance(want.Representation, got.Representation), want.Gradients.Max(g => Distance(g.Value, got.Gradients[g.Key])));
    }

    private static Finding Near(DType dtype, double embedding, double gradient = 0)
    {
        List<string> problems = [];
        double limit = EmbeddingLimit(dtype), gradientLimit = GradientLimit(dtype);
        if (!(embedding <= limit)) problems.Add(string.Create(CultureInfo.InvariantCulture, $"the embedding is off by {embedding:G3} of its norm, limit {limit:G3}"));
        if (!(gradient <= gradientLimit)) problems.Add(string.Create(CultureInfo.InvariantCulture, $"a gradient is off by {gradient:G3} of its norm, limit {gradientLimit:G3}"));
        string detail = string.Create(CultureInfo.InvariantCulture, $"embedding {embedding / limit:F2}{(gradient > 0 ? $", gradients {gradient / gradientLimit:F2}" : "")}");
        return new(detail, Math.Max(embedding / limit, gradient / gradientLimit), problems);
    }

    private static double Distance(double[] want, double[] got)
    {
        double norm = Math.Sqrt(want.Sum(v => v * v)), error = Math.Sqrt(want.Zip(got, (w, g) => (w - g) * (w - g)).Sum());
        return error == 0 ? 0 : error / norm;
    }
}

/// <summary>Transcripts made from a seed.</summary>
internal static class Records
{
    internal static byte[] Random(int length, int tracks, int seed)
    {
        var random = new Random(seed);
        var bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte)(1 << random.Next(4) | (tracks == 6 && i % 3 == 0 ? 1 << 4 : 0) | (tracks == 6 && i % 97 == 96 ? 1 << 5 : 0));
        return bytes;
    }
}
