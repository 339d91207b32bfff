using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// The Orthrus encoder as a trainable module: track bytes (B, L) to per-position vectors (B, L, D). Parameter names and order are those of the
/// published files. Any width and number of layers; float32 or float64, on a CUDA device float32, or bfloat16 activations around a float32 residual stream. Source: Orthrus; Gu and Dao 2023.
/// </summary>
public sealed class MixerModel : Module
{
    // Every track byte, in order.
    private static readonly byte[] TrackBytes = [.. Enumerable.Range(0, 64).Select(b => (byte)b)];

    private readonly MambaBlock[] _blocks;
    private readonly DType _activations;
    private readonly FirstBlock? _first;

    /// <summary>Makes the encoder; its weights are zeros until initialised or loaded.</summary>
    /// <param name="store">Owner of the weights.</param>
    /// <param name="config">Sizes.</param>
    public MixerModel(ParameterStore store, MambaConfig config)
    {
        Config = config;
        _activations = store.Activations;
        Embedding = new(store, config.NTracks, config.DModel, bias: true);
        _blocks = [.. Enumerable.Range(0, config.NLayer).Select(_ => new MambaBlock(store, config))];
        _first = HasTable ? new(_blocks[0]) : null;
        NormF = new(store, config.DModel);
    }

    /// <summary>Sizes.</summary>
    public MambaConfig Config { get; }
    /// <summary>Input projection: weight (D, C), bias (D).</summary>
    public LinearLayer Embedding { get; }
    /// <summary>Mixer blocks in order.</summary>
    public IReadOnlyList<MambaBlock> Blocks => _blocks;
    /// <summary>Last norm.</summary>
    public LayerNormLayer NormF { get; }

    /// <summary>Keep only the values between blocks while recording, and run each block again in backward: same bits, less memory, more time.</summary>
    public bool Recompute { get; set; }

    /// <summary>For inference with weights that no longer change: what the first block does before its convolution, by track byte. Null computes it.</summary>
    internal FirstLayerTable? FirstLayer { get; set; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("embedding", Embedding);
        for (int i = 0; i < _blocks.Length; i++) visitor.Child($"layers.{i}", _blocks[i]);
        visitor.Child("norm_f", NormF);
    }

    /// <summary>Encodes track bytes.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="tracks">(B, L) U8; bits 0 to 3 are A, C, G, T, bit 4 the first base of a codon, bit 5 the last base of an exon; 0 pads.</param>
    /// <param name="lengths">(B) I32; only the bidirectional variant reads it, none where all records have length L.</param>
    /// <returns>(B, L, D), after the last norm.</returns>
    public Variable Forward(Tape tape, in Tensor tracks, in Tensor lengths = default) => Forward(tape, tracks, lengths, null);

    /// <summary>Encodes a stretch of records that goes on where the one before ended.</summary>
    /// <param name="tape">Where to run; a tape that records nothing.</param>
    /// <param name="tracks">(B, L) U8, the same records as before.</param>
    /// <param name="states">What the stretch before left; receives what the next one needs.</param>
    /// <returns>(B, L, D), after the last norm.</returns>
    /// <exception cref="InvalidOperationException">The encoder is bidirectional and needs whole records, or the tape records.</exception>
    public Variable Forward(Tape tape, in Tensor tracks, CarriedStates states)
    {
        if (Config.Bidirectional) throw new InvalidOperationException("a bidirectional encoder needs whole records: it carries no state");
        if (tape.IsRecording) throw new InvalidOperationException("states are carried at inference: use Tape.Off");
        return Forward(tape, tracks, default, null, states);
    }

    internal Variable Forward(Tape tape, in Tensor tracks, in Tensor lengths, Action<string, Variable>? observe, CarriedStates? states = null)
    {
        using var outer = tape.Open();
        Variable bytes = tape.Constant(tracks), length = tape.Constant(lengths), residual = Variable.None, h, tableX = default, tableZ = default;
        // With few positions the table costs more than it saves.
        bool byTable = HasTable && observe is null && FirstLayer is null && tracks.Count > 1 << Config.NTracks;
        if (byTable)
        {
            (h, tableX, tableZ) = ByTracks(tape);
            h = Functions.RowsOfTracks(tape, bytes, h);
        }
        else h = Functions.EmbedTracks(tape, bytes, tape.Use(Embedding.Weight), tape.Use(Embedding.Bias!));
        observe?.Invoke("embedding", h);
        Span<Variable> outputs = [default, default];
        for (int i = 0; i < _blocks.Length; i++)
        {
            using var frame = tape.Open();
            // The embedding is float32 as the residual stream is; what the first block normalises is rounded as everywhere.
            var input = i == 0 && FirstLayer is null && !byTable ? tape.Cast(h, _activations) : h;
            if (i == 0 && FirstLayer is { } table)
            {
                var (x, z) = table.Rows(tape, tracks);
                (outputs[0], outputs[1]) = (frame.Keep(_blocks[0].Mix(tape, x, z, states)), Variable.None);
            }
            else if (i == 0 && byTable)
            {
                outputs[1] = Variable.None;
                if (Recompute && tape.IsRecording) tape.Recompute(_first!, [bytes, tableX, tableZ], outputs[..1]);
                else _first!.Forward(tape, bytes, tableX, tableZ, states, outputs);
            }
            else if (Recompute && tape.IsRecording && observe is null) tape.Recompute(_blocks[i], [input, residual, length], outputs);
            else if (states is not null) _blocks[i].Forward(tape, input, residual, states, i, outputs);
            else _blocks[i].Forward(tape, [input, residual, length], outputs, observe, observe is null ? "" : $"layers.{i}.");
            var before = residual;
            if (residual.IsNone) residual = h; // in the first block the stream is its own input
            else
            {
                residual = frame.Keep(outputs[1]);
                tape.Free(before);
                tape.Free(h);
            }
            h = frame.Keep(outputs[0]);
        }
        if (residual.IsNone) return outer.Keep(NormF.Forward(tape, h));
        var (y, sum) = NormF.AddForward(tape, h, residual);
        observe?.Invoke("residual_f", sum);
        return outer.Keep(y);
    }

    /// <summary>The first block's norm and input projection need a look at one position alone: they can be computed by track byte.</summary>
    internal bool HasTable => !Config.Bidirectional && Config.NLayer > 0;

    /// <summary>
    /// By track byte: the embedding (1, R, D), and what the first block mixes and its gate, (1, R, E) each. Rows come from the kernels that would compute them position by position, which
    /// look at no other row: same bits.
    /// </summary>
    internal (Variable H, Variable X, Variable Z) ByTracks(Tape tape)
    {
        int rows = 1 << Config.NTracks;
        using var scope = tape.Device.OpenScope();
        var bytes = tape.Adopt(scope.From<byte>(TrackBytes.AsSpan(0, rows), new Shape(1, rows)), scope);
        var h = Functions.EmbedTracks(tape, bytes, tape.Use(Embedding.Weight), tape.Use(Embedding.Bias!));
        var (x, z) = _blocks[0].Project(tape, tape.Cast(h, _activations))!.Value;
        return (h, x, z);
    }

    /// <summary>The first block from its tables on.</summary>
    private sealed class FirstBlock(MambaBlock block) : IRecomputable
    {
        public void Forward(Tape tape, ReadOnlySpan<Variable> inputs, Span<Variable> outputs) => Forward(tape, inputs[0], inputs[1], inputs[2], null, outputs);

        internal void Forward(Tape tape, Variable bytes, Variable tableX, Variable tableZ, CarriedStates? states, Span<Variable> outputs)
        {
            using var frame = tape.Open();
            Variable x = Functions.RowsOfTracks(tape, bytes, tableX), z = Functions.RowsOfTracks(tape, bytes, tableZ);
            outputs[0] = frame.Keep(block.Mix(tape, x, z, states));
        }
    }

    /// <summary>Encodes and takes the mean over each record's own positions.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="tracks">(B, L) U8.</param>
    /// <param name="lengths">(B) I32, at least 1.</param>
    /// <returns>(B, D).</returns>
    /// <exception cref="ShapeException">A length below 1.</exception>
    public Variable Represent(Tape tape, in Tensor tracks, in Tensor lengths)
    {
        using var frame = tape.Open();
        var y = Forward(tape, tracks, lengths);
        return frame.Keep(Functions.MeanPool(tape, y, tape.Constant(lengths)));
    }
}
