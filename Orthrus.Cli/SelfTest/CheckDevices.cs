using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cli.SelfTest;

/// <summary>
/// What checks run on, twice, since both must give the same bits: a GPU two times, two simulated GPUs whose blocks and warps take different orders, CPUs of
/// several numbers of threads.
/// </summary>
internal sealed class CheckDevices : IDisposable
{
    private const int FirstWithBFloat16 = 80;

    // Seeds of the simulated orders.
    private static readonly int[] Seeds = [1, 2];

    private const int RoughSeed = 3;

    private readonly List<OpenDevice> _open = [];
    private readonly DeviceTarget _target;
    private OpenDevice? _rough;

    /// <param name="target">What to check.</param>
    /// <param name="gemm">Whose matrix products; null for the engine's own.</param>
    /// <exception cref="Tensor.Cuda.CudaException">There is no such device, or no kernel can be brought onto it.</exception>
    internal CheckDevices(DeviceTarget target, GemmBackend? gemm)
    {
        _target = target;
        try
        {
            foreach (int seed in Place switch { DevicePlace.Cpu => [], DevicePlace.Sim => Seeds, _ => [0] }) _open.Add(target.Open(new SimOptions { Seed = seed })!);
            foreach (var open in _open) open.Device.Gemm = gemm ?? GemmBackend.Own;
            if (Gpu is { } gpu) RequireKernels(gpu);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal DevicePlace Place => _target.Place;

    /// <summary>The GPU; null for the CPU.</summary>
    internal CudaDevice? Gpu => _open.Count > 0 ? _open[0].Device : null;

    /// <summary>For checks that compare devices; null for the CPU, of which they open their own.</summary>
    internal IReadOnlyList<Device>? Pair => Gpu is null ? null : [Gpu, _open[^1].Device];

    /// <summary>
    /// On a simulated GPU one more, whose special functions err as far as the PTX manual allows; else null. What passes on it passes on any GPU that keeps to the
    /// manual. Its bits are its own.
    /// </summary>
    internal Device? Rough
    {
        get
        {
            if (Place != DevicePlace.Sim) return null;
            if (_rough is null)
            {
                _rough = _target.Open(new SimOptions { Seed = RoughSeed, SpecialFunctionError = true })!;
                _rough.Device.Gemm = Gpu!.Gemm;
            }
            return _rough.Device;
        }
    }

    /// <summary>Precisions that the device computes in.</summary>
    internal IReadOnlyList<DType> DTypes => Gpu is null ? [DType.F32, DType.F64] : Gpu.ComputeCapability >= FirstWithBFloat16 ? [DType.F32, DType.BF16] : [DType.F32];

    /// <summary>Precisions of an operator.</summary>
    internal IReadOnlyList<DType> DTypesOf(OpRow op) => [.. DTypes.Where(d => d != DType.BF16 || op.Signature.BFloat16)];

    /// <summary>Precisions of a state update: its state is never BF16.</summary>
    internal IReadOnlyList<DType> DTypesOfUpdates => [.. DTypes.Where(d => d != DType.BF16)];

    // A check takes whatever a kernel does wrong as its finding. A driver that cannot take any kernel is none.
    private static void RequireKernels(CudaDevice device)
    {
        using var scope = device.OpenScope();
        Op.Forward<SiLU, NoAttr>(scope, [scope.From<float>([0, 1], new Shape(2))], default).ToArray<float>();
    }

    public void Dispose()
    {
        _rough?.Dispose();
        foreach (var open in _open) open.Dispose();
    }
}
