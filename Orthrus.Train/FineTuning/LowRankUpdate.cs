using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// A low-rank update of one weight matrix of an encoder: the parameter that the encoder reads always holds the effective weight W + scale B A, and the gradient that it
/// receives is handed on to A and B by the chain rule. So the encoder computes exactly what an ordinary model of the merged weights does, whichever way it reads them.
/// </summary>
/// <remarks>A (rank, in) is stored transposed, (in, rank), uniform within 1/√in; B (out, rank) begins at zero, so that training begins at W. Source: Hu et al. 2021; PEFT's initialisation.</remarks>
internal sealed class LowRankUpdate : IDisposable
{
    private readonly Parameter _weight;
    private readonly Scope _scope;
    private readonly Tensor _base, _scale;
    private readonly Tape _tape;
    private Variable _effective;

    /// <summary>Begins an update of a weight (out, in) at its present value.</summary>
    /// <param name="store">Owner of A and B.</param>
    /// <param name="name">Name of the weight; part of the stream that A is drawn from.</param>
    /// <param name="weight">The encoder's parameter; it needs a gradient and belongs to no optimiser.</param>
    /// <param name="options">Rank and scale.</param>
    /// <param name="seed">Of A.</param>
    internal LowRankUpdate(ParameterStore store, string name, Parameter weight, LoraOptions options, uint seed)
    {
        (_weight, Name) = (weight, name);
        int rows = weight.Shape[0], columns = weight.Shape[1];
        _scope = store.Device.OpenScope();
        _base = _scope.Empty(weight.Shape, weight.Value.DType);
        _base.Assign(weight.Value);
        A = store.New(new Shape(columns, options.Rank));
        B = store.New(new Shape(rows, options.Rank));
        var random = Mamba.ModelInit.Stream(name + ".lora_A", seed);
        double limit = 1 / Math.Sqrt(columns);
        A.Assign(_scope.Reals([.. Enumerable.Range(0, (int)A.Shape.Count).Select(_ => (2 * random.Uniform() - 1) * limit)], A.Shape, store.DType));
        _scale = _scope.Reals([.. Enumerable.Repeat(options.Scale, (int)B.Shape.Count)], B.Shape, store.DType);
        _tape = new(store.Device);
    }

    /// <summary>Name of the weight.</summary>
    internal string Name { get; }

    /// <summary>(in, rank).</summary>
    internal Parameter A { get; }

    /// <summary>(out, rank).</summary>
    internal Parameter B { get; }

    /// <summary>Writes the effective weight to the encoder's parameter.</summary>
    internal void Apply()
    {
        _tape.Reset();
        var scaled = _tape.Apply<Combine, Combine.Attr>([_tape.Use(B), _tape.Constant(_scale)], new(Multiply: true));
        var product = _tape.Apply<Linear, NoAttr>([scaled, _tape.Use(A), Variable.None]);
        _effective = _tape.Apply<Combine, Combine.Attr>([_tape.Constant(_base), product], new(Multiply: false));
        _weight.Assign(_effective.Value);
    }

    /// <summary>Adds the gradients of A and B, from that of the effective weight, which is forgotten. Once after each <see cref="Apply"/>.</summary>
    internal void TakeGradient()
    {
        if (!_weight.Grad.IsNone) _tape.Backward([_effective], [_weight.Grad]);
        _weight.ClearGrad();
    }

    /// <summary>The updates of an encoder; all of its other weights are frozen.</summary>
    /// <param name="store">Owner of the encoder's weights.</param>
    /// <param name="encoder">The encoder.</param>
    /// <param name="options">Which matrices, rank, scale.</param>
    /// <param name="layers">Blocks, counted from the last, that have updates; null for all.</param>
    /// <param name="seed">Of A.</param>
    internal static LowRankUpdate[] Of(ParameterStore store, Mamba.MixerModel encoder, LoraOptions options, int? layers, uint seed)
    {
        string[] ends = [.. options.Matrices.Select(m => $".{m}.weight")];
        var updates = new List<LowRankUpdate>();
        foreach (var (name, p) in encoder.NamedParameters())
        {
            bool updated = FineTuneModel.IsOfLastLayers(name, encoder.Config.NLayer, layers) && ends.Any(e => name.EndsWith(e, StringComparison.Ordinal));
            p.RequiresGrad = updated;
            if (updated) updates.Add(new(store, name, p, options, seed));
        }
        return [.. updates];
    }

    public void Dispose()
    {
        _tape.Dispose();
        _scope.Dispose();
    }
}
