using System.Globalization;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Simulated traffic of the kernels that memory limits: bytes against what the call must move at least, and whole sectors in every access.
/// </summary>
public sealed class TrafficTests
{
    private delegate void Call(Scope scope, DType dtype, List<LaunchReport> reports);

    private const int B = 4, L = 512, D = 512;
    private static readonly long N = (long)B * L * D;
    // Rows that stay in an H100's shared memory, forward and backward, and rows that do not.
    private const int Rows = 2048, ManyRows = 16384, Channels = 128;

    // Least number of bytes of a call, by the size of an activation.
    private static readonly Dictionary<string, (bool BFloat16, Func<int, long> Bytes, Call Call)> Calls = new()
    {
        ["combine, sum"] = (true, s => 3 * N * s, (scope, t, r) => Forward<Combine, Combine.Attr>(scope, r, new(false), Ones(scope, t), Ones(scope, t))),
        ["combine, product, backward"] = (true, s => 5 * N * s, (scope, t, r) => Backward<Combine, Combine.Attr>(scope, r, new(true), 2, Ones(scope, t), Ones(scope, t))),
        ["combine, sum, backward"] = (true, s => 3 * N * s, (scope, t, r) => Backward<Combine, Combine.Attr>(scope, r, new(false), 2, Ones(scope, t), Ones(scope, t))),
        ["reverse_sequence"] = (true, s => 2 * N * s, (scope, t, r) => Forward<ReverseSequence, NoAttr>(scope, r, default, Ones(scope, t), scope.From<int>([512, 500, 3, 0], new Shape(B)))),
        ["dropout"] = (true, s => 2 * N * s, (scope, t, r) => Forward<Dropout, Dropout.Attr>(scope, r, new(0.1, 1), Ones(scope, t))),
        ["batch_norm, training"] = (false, s => 2L * Rows * Channels * s, (scope, t, r) => Normalise(scope, r, true, Rows)),
        ["batch_norm, training, backward"] = (false, s => 3L * Rows * Channels * s, (scope, t, r) => NormaliseBack(scope, r, true, Rows)),
        // Statistics of what does not stay on the chip take a reading of their own.
        ["batch_norm, training, many rows"] = (false, s => 3L * ManyRows * Channels * s, (scope, t, r) => Normalise(scope, r, true, ManyRows)),
        ["batch_norm, training, many rows, backward"] = (false, s => 5L * ManyRows * Channels * s, (scope, t, r) => NormaliseBack(scope, r, true, ManyRows)),
        ["batch_norm, evaluation"] = (false, s => 2L * ManyRows * Channels * s, (scope, t, r) => Normalise(scope, r, false, ManyRows)),
        ["batch_norm, evaluation, backward"] = (false, s => 3L * ManyRows * Channels * s, (scope, t, r) => NormaliseBack(scope, r, false, ManyRows)),
        ["adamw"] = (false, s => 7 * N * s, (scope, t, r) => Run<AdamW, AdamW.Attr>(scope, r, new(1e-3, 0.1, 1), 4, 0)),
        ["clip_grad_norm"] = (false, s => 3 * N * s, (scope, t, r) => Run<ClipGradNorm, ClipGradNorm.Attr>(scope, r, new(1), 1, 1)),
        ["clip_grad_norm, below"] = (false, s => N * s, (scope, t, r) => Run<ClipGradNorm, ClipGradNorm.Attr>(scope, r, new(1e9), 1, 1)),
        ["clip_grad_value"] = (false, s => 2 * N * s, (scope, t, r) => Run<ClipGradValue, ClipGradValue.Attr>(scope, r, new(0.5), 1, 0)),
        ["cast to BF16"] = (false, _ => 6 * N, (scope, t, r) => Converted(scope, r, DType.F32, DType.BF16)),
        ["cast to F32"] = (false, _ => 6 * N, (scope, t, r) => Converted(scope, r, DType.BF16, DType.F32)),
    };

    public static IEnumerable<TheoryDataRow<string, DType>> Cases() =>
        Calls.SelectMany(c => (c.Value.BFloat16 ? new[] { DType.F32, DType.BF16 } : [DType.F32]).Select(t => new TheoryDataRow<string, DType>(c.Key, t)));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Moves_little_more_than_it_must(string name, DType dtype)
    {
        var (_, bytes, call) = Calls[name];
        var reports = new List<LaunchReport>();
        using var driver = new SimDriver(new SimOptions { Eager = true }) { Launched = reports.Add };
        using var device = driver.OpenDevice();
        using (var scope = device.OpenScope()) call(scope, dtype, reports);
        long least = bytes(dtype.Size()), moved = reports.Sum(r => r.DramReadBytes + r.DramWriteBytes);
        long units = reports.Sum(r => r.GlobalLoads.Units + r.GlobalStores.Units), packed = reports.Sum(r => r.GlobalLoads.Minimum + r.GlobalStores.Minimum);
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{name} {dtype}: bytes/minimum {(double)moved / least:F3}, sectors/packed {(double)units / packed:F3}, {reports.Sum(r => r.WithoutMoves.Lane) / (double)(least / dtype.Size()):F1} lane instructions per element and access, limits {string.Join(" ", reports.Select(r => $"{r.Kernel}:{r.Bounds(SimDeviceSpec.H100)[0].Unit}"))}"));
        Assert.InRange((double)moved / least, 0.999, 1.05);
        Assert.Equal(packed, units);
        Assert.All(reports, r => Assert.Equal(0, r.Local.Requests));
        // Small kernels that only merge partial sums wait for nothing but themselves.
        Assert.All(reports.Where(r => r.DramReadBytes + r.DramWriteBytes > least / 20), r => Assert.Equal("dram", r.Bounds(SimDeviceSpec.H100)[0].Unit));
    }

    private static Tensor Ones(Scope scope, DType dtype)
    {
        var ones = scope.From<float>(Enumerable.Repeat(1f, (int)N).ToArray(), new Shape(B, L, D));
        return dtype == DType.BF16 ? scope.Cast(ones, DType.BF16) : ones;
    }

    private static void Forward<TOp, TAttr>(Scope scope, List<LaunchReport> reports, TAttr attr, params Tensor[] inputs) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        reports.Clear();
        Op.Forward<TOp, TAttr>(scope, inputs, attr);
    }

    private static void Backward<TOp, TAttr>(Scope scope, List<LaunchReport> reports, TAttr attr, int gradients, params Tensor[] inputs) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var wanted = inputs.Select((x, i) => i < gradients ? scope.Empty(x.Shape, x.DType) : Tensor.None).ToArray();
        var dy = scope.Clone(inputs[0]);
        reports.Clear();
        Op.Backward<TOp, TAttr>(scope, inputs, [Tensor.None], [dy], wanted, attr);
    }

    private static Tensor[] BatchNormInputs(Scope scope, int rows)
    {
        var c = scope.From<float>(Enumerable.Repeat(1f, Channels).ToArray(), new Shape(Channels));
        return [scope.From<float>(Enumerable.Range(0, rows * Channels).Select(i => (float)Math.Sin(i)).ToArray(), new Shape(rows, Channels)), c, c, c, c, Tensor.None];
    }

    private static void Normalise(Scope scope, List<LaunchReport> reports, bool training, int rows)
    {
        var inputs = BatchNormInputs(scope, rows);
        reports.Clear();
        Op.Forward<BatchNorm, BatchNorm.Attr>(scope, inputs, new(training), new Tensor[5]);
    }

    private static void NormaliseBack(Scope scope, List<LaunchReport> reports, bool training, int rows)
    {
        var inputs = BatchNormInputs(scope, rows);
        var outputs = new Tensor[5];
        Op.Forward<BatchNorm, BatchNorm.Attr>(scope, inputs, new(training), outputs);
        reports.Clear();
        Op.Backward<BatchNorm, BatchNorm.Attr>(scope, inputs, outputs, [outputs[0], Tensor.None, Tensor.None, Tensor.None, Tensor.None],
            [scope.Empty(inputs[0].Shape, DType.F32), scope.Empty(inputs[1].Shape, DType.F32), scope.Empty(inputs[1].Shape, DType.F32), Tensor.None, Tensor.None, Tensor.None], new(training));
    }

    private static void Run<TUpdate, TAttr>(Scope scope, List<LaunchReport> reports, TAttr attr, int lists, int results) where TUpdate : IStateUpdate<TAttr> where TAttr : unmanaged
    {
        var tensors = Enumerable.Range(0, lists).Select(_ => Ones(scope, DType.F32)).ToArray();
        reports.Clear();
        Update.Run<TUpdate, TAttr>(scope, tensors, attr, new Tensor[results]);
    }

    private static void Converted(Scope scope, List<LaunchReport> reports, DType from, DType to)
    {
        var x = Ones(scope, from);
        var y = scope.Empty(x.Shape, to);
        reports.Clear();
        CudaCast.Run(x, y);
    }
}
