using Orthrus.Mamba.Outputs;
using Orthrus.Rna;

namespace Orthrus.Cli.Embed;

/// <summary>One embedding in the run's type.</summary>
internal readonly record struct EmbeddedVector(float[] Single, double[]? Wide)
{
    internal void WriteTo(EmbeddingWriter writer, Transcript transcript)
    {
        if (Wide is not null) writer.Add(transcript.Id, transcript.Length, Wide);
        else writer.Add(transcript.Id, transcript.Length, Single);
    }
}

/// <summary>The encoder of a run.</summary>
internal sealed class Encoder : IDisposable
{
    internal int Width => 0;
    internal string Name => "";
    internal string Sha256 => "";
    internal bool Trained => false;
    internal int Tracks => 0;
    internal string TracksFrom => "";
    internal int VectorBits => 0;
    internal bool Blank => false;
    internal long Nucleotides => 0;

    internal static Encoder Open(EmbedOptions options, bool hasTracks, Action<string> say) => throw new DeviceException("this build has no encoder");

    internal IEnumerable<(EmbedItem, EmbeddedVector)> Run(EmbedQueue queue, EmbeddingWriter? positions) => [];

    public void Dispose() { }
}
