using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Kernels;

/// <summary>What one kernel costs in a whole forward pass of an encoder, simulated.</summary>
/// <param name="Kernel">Entry point.</param>
/// <param name="Launches">Launches of one pass.</param>
/// <param name="Nanoseconds">Time of the busiest unit per position of the batch, summed over the launches.</param>
/// <param name="Unit">The unit that is busiest in most of that time.</param>
internal sealed record EncoderPart(string Kernel, int Launches, double Nanoseconds, string Unit);

/// <summary>
/// Bound of a whole encoder: the sum over its launches of the time of each launch's busiest unit. Two passes are simulated, of an encoder of one layer and of two; all
/// further layers cost what the second one does. The bounds suppose that a launch's work spreads evenly over the device, as the anchors' do: neither the tail of
/// the last blocks nor the start of a launch is in them.
/// </summary>
internal sealed class EncoderFigures
{
    private readonly MambaConfig _config;
    private readonly int _batch, _length;
    private readonly IReadOnlyList<LaunchReport> _one, _two;

    /// <summary>Simulates.</summary>
    /// <param name="config">The encoder; at least two layers.</param>
    /// <param name="batch">Records, all of the same length.</param>
    /// <param name="length">Positions of each.</param>
    internal EncoderFigures(MambaConfig config, int batch, int length)
    {
        (_config, _batch, _length) = (config, batch, length);
        (_one, _two) = (Launches(1), Launches(2));
    }

    /// <summary>The kernels of one pass, the costliest first.</summary>
    internal IReadOnlyList<EncoderPart> Parts(SimDeviceSpec spec)
    {
        var one = _one.ToLookup(r => r.Kernel);
        double positions = (double)_batch * _length;
        return
        [
            .. _two.GroupBy(r => r.Kernel).Select(g =>
            {
                int launches = All(one[g.Key].Count(), g.Count());
                double seconds = one[g.Key].Sum(Bound) + (_config.NLayer - 1) * (g.Sum(Bound) - one[g.Key].Sum(Bound));
                string unit = g.GroupBy(r => r.Bounds(spec)[0].Unit).MaxBy(u => u.Sum(Bound))!.Key;
                return new EncoderPart(g.Key, launches, seconds * 1e9 / positions, unit);
            }).OrderByDescending(p => p.Nanoseconds),
        ];

        double Bound(LaunchReport r) => r.Bounds(spec)[0].Seconds;
        int All(int one, int two) => one + (_config.NLayer - 1) * (two - one);
    }

    /// <summary>Positions a second at most.</summary>
    internal double PositionsPerSecond(SimDeviceSpec spec) => 1e9 / Parts(spec).Sum(p => p.Nanoseconds);

    private List<LaunchReport> Launches(int layers)
    {
        var launches = new List<LaunchReport>();
        using var driver = new SimDriver(new SimOptions { Seed = 1, Checks = false }, SimDeviceSpec.H100);
        using var device = driver.OpenDevice();
        using var store = new ParameterStore(device, DType.BF16);
        var model = new MixerModel(store, _config with { NLayer = layers });
        foreach (var (name, p) in model.NamedParameters())
        {
            float[] values = ModelInit.Encoder(name, p.Value.Shape, _config, 1);
            if (p.Value.DType == DType.BF16) p.Value.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)v));
            else p.Value.CopyFrom<float>(values);
        }
        var tracks = new byte[_batch * _length];
        for (int i = 0; i < tracks.Length; i++) tracks[i] = (byte)(1 << (i * 7 + i / 5) % 4);
        using var scope = device.OpenScope();
        using var tape = Tape.Off(device);
        Orthrus.Tensor.Tensor input = scope.From<byte>(tracks, new Shape(_batch, _length)), lengths = scope.From<int>(Enumerable.Repeat(_length, _batch).ToArray(), new Shape(_batch));
        device.Synchronize();
        driver.Launched = launches.Add;
        model.Represent(tape, input, lengths);
        device.Synchronize();
        return launches;
    }
}
