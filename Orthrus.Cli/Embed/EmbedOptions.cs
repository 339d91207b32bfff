using System.Globalization;
using Orthrus.Mamba;
using Orthrus.Mamba.Outputs;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Cli.Embed;

/// <summary>How positions become one vector; the names of --pool.</summary>
internal enum Pool { Mean, Last, Max }

/// <summary>A part of the work: transcript k (0-based) belongs to shard k mod <paramref name="Count"/> + 1.</summary>
internal readonly record struct Shard(int Index, int Count)
{
    internal static Shard Whole => new(1, 1);

    internal bool Holds(long transcript) => transcript % Count == Index - 1;

    internal static Shard Parse(string? text)
    {
        if (text is null) return Whole;
        int slash = text.IndexOf('/');
        return slash > 0
            && int.TryParse(text.AsSpan(0, slash), NumberStyles.None, CultureInfo.InvariantCulture, out int i)
            && int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int n)
            && i >= 1 && i <= n
            ? new Shard(i, n)
            : throw new UsageException($"--shard {text} is no shard: give i/n with 1 <= i <= n, e.g. --shard 2/8");
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Index}/{Count}");
}

/// <summary>What `orthrus embed` was asked for, complete and free of contradictions.</summary>
internal sealed record EmbedOptions
{
    internal const string DefaultModel = BuiltInModels.Default;

    internal required TranscriptInput Input { get; init; }
    internal string Model { get; init; } = DefaultModel;

    /// <summary>Output file; "-" is stdout.</summary>
    internal required string Output { get; init; }
    internal required EmbeddingFormat Format { get; init; }
    internal bool PerPosition { get; init; }
    internal Pool Pool { get; init; }

    /// <summary>Arithmetic.</summary>
    internal DType DType { get; init; } = DType.F32;

    /// <summary>Numbers of the output.</summary>
    internal EmbeddingDType OutputDType => DType == DType.F64 ? EmbeddingDType.F64 : EmbeddingDType.F32;

    /// <summary>Worker threads; null for all cores.</summary>
    internal int? Threads { get; init; }
    internal DeviceChoice Device { get; init; } = DeviceOption.Parse("auto");
    /// <summary>Who multiplies matrices on a GPU; null where it was not said.</summary>
    internal GemmBackend? Gemm { get; init; }
    internal Shard Shard { get; init; } = Shard.Whole;
    internal bool Resume { get; init; }
    internal bool Quiet { get; init; }
    internal TimeSpan SaveEvery { get; init; } = TimeSpan.FromSeconds(5);

    internal bool ToStdout => Output == "-";

    /// <summary>The input files by role, in a fixed order.</summary>
    internal IEnumerable<(string Role, string Path)> InputFiles() => Input.Files();

    /// <summary>Refuses what cannot be meant.</summary>
    internal EmbedOptions Checked()
    {
        if (InputFiles().Count(f => f.Path == "-") > 1) throw new UsageException("only one input can be stdin");
        if (PerPosition && Format is not (EmbeddingFormat.Npz or EmbeddingFormat.Safetensors))
            throw new UsageException("--per-position needs --format npz or safetensors: other formats hold one vector per record");
        if (PerPosition && Pool != Pool.Mean)
            throw new UsageException($"--per-position writes every position, --pool {Pool.ToString().ToLowerInvariant()} makes one vector of them: give one of the two");
        if (ToStdout && !EmbeddingLayout.IsText(Format))
            throw new UsageException("stdout takes --format csv, tsv or jsonl; give -o a file name for the others");
        if (Resume && ToStdout) throw new UsageException("--resume needs an output file: what went down a pipe cannot be gone on with");
        if (Resume && InputFiles().FirstOrDefault(f => f.Path == "-").Role is { } role)
            throw new UsageException($"--resume reads its input again, which stdin (the {role}) cannot: save it to a file first");
        if (!ToStdout) RefuseInputs(new OutputPaths(Output));
        return this;
    }

    private void RefuseInputs(OutputPaths paths)
    {
        string[] written = [Output, paths.Index, paths.Description, paths.Partial];
        OutputGuard.Refuse(Output, written, InputFiles().Select(f => f.Path).Append(Path.Exists(Model) ? Model : null));
        // An earlier output of the same name may lie in the model's folder.
        OutputGuard.RefuseModel(Output, paths.DescribesOutput() ? [] : written[..^1], Model);
    }
}
