using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What the layers of an encoder carry from one stretch of records to the next: each layer's convolution inputs and scan state. It owns their memory.</summary>
public sealed class CarriedStates : IDisposable
{
    private readonly Tensor[] _conv, _scan;
    private readonly Scope _scope;

    /// <summary>At the start of records: nothing is carried yet.</summary>
    /// <param name="device">Where the encoder runs.</param>
    /// <param name="layers">Its layers.</param>
    public CarriedStates(Device device, int layers)
    {
        (_conv, _scan) = (new Tensor[layers], new Tensor[layers]);
        _scope = device.OpenScope();
    }

    internal MixerState Of(Tape tape, int layer) => new(tape.Constant(_conv[layer]), tape.Constant(_scan[layer]));

    /// <summary>Takes over the memory of a layer's new state and ends the old one's.</summary>
    internal void Set(Tape tape, int layer, in MixerState state)
    {
        if (!_conv[layer].IsNone)
        {
            _scope.Free(_conv[layer]);
            _scope.Free(_scan[layer]);
        }
        (_conv[layer], _scan[layer]) = (tape.Keep(state.Conv, _scope), tape.Keep(state.Scan, _scope));
    }

    /// <summary>Frees the states.</summary>
    public void Dispose() => _scope.Dispose();
}
