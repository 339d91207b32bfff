using BenchmarkDotNet.Attributes;
using Orthrus.Bench.Speed;
using Orthrus.Mamba;

namespace Orthrus.Bench;

/// <summary>The embedder end to end. Every call embeds 100,000 nucleotides, in records of the given length, so that rows compare directly.</summary>
public class EmbedBenchmarks : IDisposable
{
    private const int Nucleotides = 100_000;
    private Embedder? _embedder;
    private ReadOnlyMemory<byte>[] _records = [];

    [Params("base", "large")]
    public string Model { get; set; } = "base";

    [Params(50, 3000, 100_000)]
    public int Length { get; set; }

    [Params(1, 0)]
    public int Threads { get; set; }

    [GlobalSetup]
    public void Open()
    {
        var model = BenchModel.Of(Model);
        _embedder = new Embedder(OrthrusModel.Create(model.Config, 1), new EmbedderOptions { Threads = Threads });
        _records = [.. model.Records(Length, Math.Max(1, Nucleotides / Length))];
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _embedder?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public int Embed() => _embedder!.EmbedAll(_records, r => r).Count();
}
