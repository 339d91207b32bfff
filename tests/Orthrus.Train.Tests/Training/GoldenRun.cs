using System.Globalization;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Train.Tests.Training;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>A golden case in one precision: device, parameters, batches, and comparison with what PyTorch gave.</summary>
internal sealed class GoldenRun : IDisposable
{
    internal GoldenRun(GoldenCase golden, string dtype)
    {
        Case = golden;
        DType = dtype == "f32" ? DType.F32 : DType.F64;
        Device = new CpuDevice(1);
        Store = new(Device, DType);
        Scope = Device.OpenScope();
    }

    internal GoldenCase Case { get; }
    internal DType DType { get; }
    internal Device Device { get; }
    internal ParameterStore Store { get; }
    internal Scope Scope { get; }

    /// <summary>Theory rows: every case of an operation, in both precisions.</summary>
    internal static IEnumerable<TheoryDataRow<string, string>> Rows(string area, string op) =>
        from row in GoldenCase.Names(area, c => c.Op == op) from dtype in new[] { "f32", "f64" } select new TheoryDataRow<string, string>(row.Data, dtype);

    internal Tensor Real(GoldenTensor t) => Scope.Reals(t.Values, Shape.Of(t.Dims), DType);

    /// <summary>Weights and, where the case has them, running statistics; others begin at 0 and 1.</summary>
    internal void Fill(Module module)
    {
        foreach (var (name, p) in module.NamedParameters())
        {
            if (p.Value.DType == DType.I64) continue;
            Assert.True(Case.HasInput(name) || p.IsBuffer, $"{Case.Name} has no {name}");
            double[] values = Case.HasInput(name) ? Case.Input(name).Values : [.. Enumerable.Repeat(name.EndsWith("var", StringComparison.Ordinal) ? 1.0 : 0.0, (int)p.Shape.Count)];
            if (DType == DType.F32) p.Value.CopyFrom<float>(Array.ConvertAll(values, v => (float)v));
            else p.Value.CopyFrom<double>(values);
        }
        foreach (string frozen in Case.HasAttr("frozen") ? Case.Attrs.GetProperty("frozen").EnumerateArray().Select(e => e.GetString()!) : [])
            module.NamedParameters().Single(p => p.Key == frozen).Value.RequiresGrad = false;
    }

    /// <summary>The batch of a prefix such as "step3." or "step3.rank1.", masked where the case masks.</summary>
    internal TrainBatch Batch(string prefix, bool masked)
    {
        byte[] x0 = Bytes(Case.Input(prefix + "x0")), x1 = Bytes(Case.Input(prefix + "x1"));
        int[] lengths = [.. Case.Input(prefix + "lengths0").ToInt32(), .. Case.Input(prefix + "lengths1").ToInt32()];
        int pairs = lengths.Length / 2, length = x0.Length / pairs;
        var kinds = Array.ConvertAll(Case.Input(prefix + "types").ToInt32(), t => (PairKind)t);
        var batch = new PairBatch([.. x0, .. x1], length, lengths, kinds);
        if (!masked) return new(batch, batch.Tracks, null);
        var tracks = (byte[])batch.Tracks.Clone();
        var labels = new int[tracks.Length];
        Array.Fill(labels, MaskedLanguage.Ignored);
        double[] mask = [.. Case.Input(prefix + "mask0").Values, .. Case.Input(prefix + "mask1").Values];
        for (int row = 0; row < lengths.Length; row++)
            for (int t = 0; t < lengths[row]; t++) MaskedLanguage.Apply(ref tracks[row * length + t], ref labels[row * length + t], mask[row * length + t] != 0, extra: false);
        return new(batch, tracks, labels);
    }

    /// <summary>Track bytes from tracks (n, L, C) of zeros and ones.</summary>
    internal static byte[] Bytes(GoldenTensor x)
    {
        int channels = x.Dims[^1];
        var bytes = new byte[x.Values.Length / channels];
        for (int i = 0; i < bytes.Length; i++)
            for (int c = 0; c < channels; c++) bytes[i] |= (byte)(x.Values[i * channels + c] != 0 ? 1 << c : 0);
        return bytes;
    }

    /// <summary>Compares: 1e-9 of the largest value in float64, the recorded tolerance in float32, which is also that of what is zero but for rounding.</summary>
    internal void Matches(string key, double[] got, double relative = 1e-9)
    {
        bool zero = new[] { "analytically_zero", "analytically_zero_gradient_params" }.Any(list => Case.Json.TryGetProperty(list, out var names) && names.ValueKind == System.Text.Json.JsonValueKind.Array
            && names.EnumerateArray().Any(e => e.GetString() is { } name && (name == key || key.EndsWith("." + name, StringComparison.Ordinal))));
        if (DType == DType.F32 || zero) Case.AssertF32(key, Array.ConvertAll(got, v => (float)v));
        else Case.AssertF64(key, got, relative);
    }

    /// <summary>
    /// What follows a bias in front of a batch norm, whose gradient is zero but for rounding: Adam divides the noise, at most 1e-13 here, by its eps of 1e-8, so that such a
    /// bias wanders by up to 1e-5 of the learning rate a step; running means and results with running statistics follow, training losses do not.
    /// </summary>
    private const double Wander = 1e-6;

    /// <summary>Compares every output whose name begins with a prefix and goes on with a parameter's.</summary>
    internal void MatchesParameters(string prefix, Module module)
    {
        int compared = 0;
        foreach (var (name, p) in module.NamedParameters())
        {
            if (p.Value.DType == DType.I64 || !Case.Outputs.TryGetValue(prefix + name, out string? key)) continue;
            Matches(key, p.Value.ToDoubles(), key.Contains("running_mean", StringComparison.Ordinal) ? Following : 1e-9);
            compared++;
        }
        Assert.Equal(Case.Outputs.Keys.Count(k => k.StartsWith(prefix, StringComparison.Ordinal)), compared);
    }

    /// <summary>How near results come that follow such biases, in float64: as near as all others where the case freezes them.</summary>
    internal double Following => Case.HasAttr("frozen") && Case.Attrs.GetProperty("frozen").GetArrayLength() > 0 ? 1e-9 : Wander;

    /// <summary>The losses of all steps: in float32 within the drift that the case records for every step.</summary>
    internal void MatchesLosses(string key, List<double> losses)
    {
        var want = Case.Output(key).Values;
        Assert.Equal(want.Length, losses.Count);
        if (DType == DType.F64) Case.AssertF64(Case.Outputs[key], [.. losses], 1e-9);
        else
        {
            var drift = Case.Json.GetProperty("tolerance").GetProperty("per_step_loss_f32_atol").EnumerateArray().Select(GoldenCase.Number).ToArray();
            for (int t = 0; t < want.Length; t++)
                Assert.True(Math.Abs(losses[t] - want[t]) <= drift[t], string.Create(CultureInfo.InvariantCulture, $"{Case.Name} {key} at step {t}: {losses[t]:G9}, want {want[t]:G9}, recorded drift {drift[t]:G3}"));
        }
    }

    public void Dispose()
    {
        Scope.Dispose();
        Store.Dispose();
        // Throws where something is still in use.
        Device.Dispose();
    }
}
