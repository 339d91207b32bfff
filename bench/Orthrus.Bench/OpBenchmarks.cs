using BenchmarkDotNet.Attributes;
using Orthrus.Tensor;

namespace Orthrus.Bench;

/// <summary>One row per operator and sample of the tables that is worth timing; nothing is listed here.</summary>
public class OpBenchmarks : IDisposable
{
    private CpuDevice? _device;
    private OpWork? _work;

    [ParamsSource(nameof(Rows))]
    public string Row { get; set; } = "";

    [Params(DType.F32, DType.F64)]
    public DType DType { get; set; }

    public static IEnumerable<string> Rows =>
        OpTable.All.SelectMany(o => OpWork.Timed(o).Select(s => o.Name + "/" + s.Name)).Concat(UpdateTable.All.SelectMany(u => OpWork.Timed(u).Select(s => u.Name + "/" + s.Name)));

    [GlobalSetup]
    public void Open()
    {
        _device = new CpuDevice();
        string[] parts = Row.Split('/', 2);
        _work = OpTable.All.FirstOrDefault(o => o.Name == parts[0]) is { } op
            ? OpWork.Of(op, op.Samples.First(s => s.Name == parts[1]), DType, _device)
            : OpWork.Of(UpdateTable.All.First(u => u.Name == parts[0]), UpdateTable.All.First(u => u.Name == parts[0]).Samples.First(s => s.Name == parts[1]), DType, _device);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _work?.Dispose();
        _device?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public void Forward() => _work!.Forward();

    /// <summary>Does nothing where there is no gradient.</summary>
    [Benchmark]
    public void Backward()
    {
        if (_work!.HasBackward) _work.Backward();
    }
}
