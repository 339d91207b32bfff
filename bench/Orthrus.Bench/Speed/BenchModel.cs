using Orthrus.Mamba;

namespace Orthrus.Bench.Speed;

/// <summary>A published size with random weights and random transcripts.</summary>
/// <param name="Name">"base" or "large".</param>
/// <param name="Config">Its sizes.</param>
/// <param name="PeerName">What the PyTorch program calls it.</param>
internal sealed record BenchModel(string Name, MambaConfig Config, string PeerName)
{
    internal static IReadOnlyList<BenchModel> All { get; } = [new("large", new MambaConfig(512, 6, 6), "large6"), new("base", new MambaConfig(256, 3, 4), "base4")];

    internal static BenchModel Of(string name) => All.FirstOrDefault(m => m.Name == name) ?? throw new ArgumentException($"no model {name}; known: {string.Join(", ", All.Select(m => m.Name))}");

    /// <summary>
    /// Nominal floating-point operations per nucleotide: the four products of every layer, a multiply-add counted as two, 7 per channel and state for the
    /// scan, 8 per channel for the convolution. Layer 0's in_proj counts although a table replaces it; norms and activations do not count.
    /// </summary>
    internal double FlopsPerNucleotide
    {
        get
        {
            double d = Config.DModel, e = Config.DInner, r = Config.DtRank, n = Config.DState;
            return Config.NLayer * (2 * d * 2 * e + 2 * e * (r + 2 * n) + 2 * r * e + 2 * e * d + 7 * e * n + 8 * e);
        }
    }

    /// <summary>Records of random bases, with coding and splice marks where the model has tracks for them.</summary>
    internal IEnumerable<ReadOnlyMemory<byte>> Records(int length, int count)
    {
        var random = new Random(1);
        for (int i = 0; i < count; i++)
        {
            var tracks = new byte[length];
            for (int t = 0; t < length; t++)
                tracks[t] = (byte)(1 << random.Next(4) | (Config.NTracks == 6 ? (t % 3 == 0 ? 16 : 0) | (random.Next(200) == 0 ? 32 : 0) : 0));
            yield return tracks;
        }
    }
}
