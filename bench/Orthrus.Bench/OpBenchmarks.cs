using BenchmarkDotNet.Attributes;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Bench;

/// <summary>One row per device, precision, operator and sample of the tables that is worth timing; nothing is listed here. Rows of a GPU are there where the driver shows one.</summary>
public class OpBenchmarks : IDisposable
{
    private const int FirstWithBFloat16 = 80;

    private Device? _device;
    private OpWork? _work;

    /// <summary>DEVICE/DTYPE/OPERATOR/SAMPLE.</summary>
    [ParamsSource(nameof(Rows))]
    public string Row { get; set; } = "";

    public static IEnumerable<string> Rows => Of("cpu", [DType.F32, DType.F64]).Concat(Capability() is { } capability ? Of("cuda", capability >= FirstWithBFloat16 ? [DType.F32, DType.BF16] : [DType.F32]) : []);

    /// <summary>Rows of a device: BF16 where an operator has it; the state of updates is never BF16.</summary>
    public static IEnumerable<string> Of(string device, DType[] dtypes) =>
        from dtype in dtypes
        from row in OpTable.All.Where(o => dtype != DType.BF16 || o.Signature.BFloat16).SelectMany(o => OpWork.Timed(o).Select(s => o.Name + "/" + s.Name))
            .Concat(UpdateTable.All.Where(_ => dtype != DType.BF16).SelectMany(u => OpWork.Timed(u).Select(s => u.Name + "/" + s.Name)))
        select $"{device}/{dtype}/{row}";

    // Of the first GPU; null without one, whatever the reason: `orthrus info` says it.
    private static int? Capability()
    {
        if (!NativeLibraries.CudaDriverStatus.Found) return null;
        try
        {
            if (CudaInventory.Read().Devices.Count == 0) return null;
            using var device = CudaDevice.Open();
            return device.ComputeCapability;
        }
        catch (CudaException)
        {
            return null;
        }
    }

    [GlobalSetup]
    public void Open()
    {
        string[] parts = Row.Split('/', 4);
        var dtype = Enum.Parse<DType>(parts[1]);
        _device = parts[0] == "cuda" ? CudaDevice.Open() : new CpuDevice();
        _work = OpTable.All.FirstOrDefault(o => o.Name == parts[2]) is { } op
            ? OpWork.Of(op, op.Samples.First(s => s.Name == parts[3]), dtype, _device)
            : OpWork.Of(UpdateTable.All.First(u => u.Name == parts[2]), UpdateTable.All.First(u => u.Name == parts[2]).Samples.First(s => s.Name == parts[3]), dtype, _device);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _work?.Dispose();
        _device?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public void Forward()
    {
        _work!.Forward();
        (_device as CudaDevice)?.Synchronize();
    }

    /// <summary>Does nothing where there is no gradient.</summary>
    [Benchmark]
    public void Backward()
    {
        if (!_work!.HasBackward) return;
        _work.Backward();
        (_device as CudaDevice)?.Synchronize();
    }
}
