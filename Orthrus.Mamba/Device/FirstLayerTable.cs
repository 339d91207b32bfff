using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// The first layer's norm and input projection by track byte: 16 or 64 rows of what is mixed and of its gate. They depend on nothing else, so that a gather takes the place
/// of two passes and a matrix product. Rows come from the same kernels, which compute a row without looking at others: same bits.
/// </summary>
internal sealed class FirstLayerTable : IDisposable
{
    private readonly Scope _scope;
    private readonly Tensor _x, _z;

    private FirstLayerTable(Scope scope, Tensor x, Tensor z) => (_scope, _x, _z) = (scope, x, z);

    /// <summary>Makes the table of a model with its present weights; null for a bidirectional one.</summary>
    /// <param name="tape">A tape that records nothing and has nothing open; it is reset.</param>
    /// <param name="model">The encoder, on a CUDA device.</param>
    internal static FirstLayerTable? Of(Tape tape, MixerModel model)
    {
        if (!model.HasTable) return null;
        var scope = tape.Device.OpenScope();
        try
        {
            var (_, x, z) = model.ByTracks(tape);
            var shape = new Shape(1 << model.Config.NTracks, model.Config.DInner);
            return new(scope, tape.Keep(x, scope).Reshape(shape), tape.Keep(z, scope).Reshape(shape));
        }
        catch
        {
            scope.Dispose();
            throw;
        }
        finally
        {
            tape.Reset();
        }
    }

    /// <summary>The rows of track bytes.</summary>
    /// <param name="tape">Their owner.</param>
    /// <param name="tracks">(B, L) U8; bits 6 and 7 give NaN.</param>
    /// <returns>What is mixed and its gate, (B, L, E) each.</returns>
    internal (Variable X, Variable Z) Rows(Tape tape, in Tensor tracks)
    {
        var bytes = tape.Constant(tracks);
        return (Functions.RowsOfTracks(tape, bytes, tape.Constant(_x)), Functions.RowsOfTracks(tape, bytes, tape.Constant(_z)));
    }

    public void Dispose() => _scope.Dispose();
}
