namespace Orthrus.Tensor;

/// <summary>One row for tests and benchmarks of an update: options and a recipe for every tensor of every list.</summary>
/// <param name="Name">Short, unique within the update; says what is special.</param>
/// <param name="Attr">Options.</param>
/// <param name="Lists">Recipes, by list and tensor.</param>
public sealed record UpdateSample<TAttr>(string Name, TAttr Attr, params SampleInput[][] Lists) where TAttr : unmanaged
{
    /// <summary>Only for timing.</summary>
    public bool Bench { get; init; }

    /// <summary>Factor on the computed error bound, as in <see cref="Sample{TAttr}.Slack"/>.</summary>
    public double Slack { get; init; } = 4;
}

/// <summary>A state update without its types, for code that walks all of them.</summary>
public abstract class UpdateRow
{
    /// <summary>Name of the update.</summary>
    public abstract string Name { get; }
    /// <summary>Lists and results.</summary>
    public abstract UpdateSignature Signature { get; }
    /// <summary>Its samples.</summary>
    public abstract IReadOnlyList<UpdateSampleRow> Samples { get; }

    /// <summary>The row of an update.</summary>
    public static UpdateRow Of<TUpdate, TAttr>() where TUpdate : IStateUpdate<TAttr> where TAttr : unmanaged => new Typed<TUpdate, TAttr>();

    private sealed class Typed<TUpdate, TAttr> : UpdateRow where TUpdate : IStateUpdate<TAttr> where TAttr : unmanaged
    {
        private readonly Lazy<UpdateSampleRow[]> _samples = new(() => [.. TUpdate.Samples().Select(s => new UpdateSampleRow.Typed<TUpdate, TAttr>(s))]);
        public override string Name => TUpdate.Name;
        public override UpdateSignature Signature => TUpdate.Signature;
        public override IReadOnlyList<UpdateSampleRow> Samples => _samples.Value;
    }
}

/// <summary>One sample of one update, ready to run in every precision and on every number type.</summary>
public abstract class UpdateSampleRow
{
    /// <summary>Name of the sample.</summary>
    public abstract string Name { get; }
    /// <summary>Recipes, by list and tensor.</summary>
    public abstract IReadOnlyList<SampleInput[]> Lists { get; }
    /// <summary>Only for timing.</summary>
    public abstract bool Bench { get; }
    /// <summary>Factor on the error bound.</summary>
    public abstract double Slack { get; }
    /// <summary>Work of the call.</summary>
    public abstract OpCost Cost(DType dtype);
    /// <summary>Runs the specification on lists of flat arrays, which it changes; returns the scalar results.</summary>
    public abstract R[] Reference<R>(R[][][] lists) where R : struct, IReal<R>;
    /// <summary>Runs the kernel.</summary>
    public abstract void Run(Scope scope, ReadOnlySpan<Tensor> tensors, Span<Tensor> results);

    internal sealed class Typed<TUpdate, TAttr>(UpdateSample<TAttr> sample) : UpdateSampleRow where TUpdate : IStateUpdate<TAttr> where TAttr : unmanaged
    {
        public override string Name => sample.Name;
        public override IReadOnlyList<SampleInput[]> Lists => sample.Lists;
        public override bool Bench => sample.Bench;
        public override double Slack => sample.Slack;
        public override OpCost Cost(DType dtype) => TUpdate.Cost(sample.Lists[0].Sum(i => i.Shape.Count), dtype, sample.Attr);

        public override R[] Reference<R>(R[][][] lists)
        {
            var results = new R[TUpdate.Signature.Results.Length];
            Array.Fill(results, R.From(0));
            TUpdate.Reference(new UpdateRefArgs<R>(lists, results), sample.Attr);
            return results;
        }

        public override void Run(Scope scope, ReadOnlySpan<Tensor> tensors, Span<Tensor> results) => Update.Run<TUpdate, TAttr>(scope, tensors, sample.Attr, results);
    }
}

/// <summary>Every state update of the engine.</summary>
public static class UpdateTable
{
    /// <summary>All updates.</summary>
    public static IReadOnlyList<UpdateRow> All { get; } =
    [
        UpdateRow.Of<AdamW, AdamW.Attr>(),
        UpdateRow.Of<ClipGradNorm, ClipGradNorm.Attr>(),
        UpdateRow.Of<ClipGradValue, ClipGradValue.Attr>(),
    ];
}
