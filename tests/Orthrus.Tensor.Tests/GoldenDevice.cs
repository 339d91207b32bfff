namespace Orthrus.Tensor.Tests;

/// <summary>Where golden tests run: on the CPU, and where this file is compiled into the tests of CUDA kernels, on a simulated device.</summary>
internal static class GoldenDevice
{
#if SIMULATED
    internal static readonly DType[] DTypes = [DType.F32];

    internal static Device Open(DType dtype) => dtype == DType.F64 ? new CpuDevice(2) : Orthrus.Cuda.Tests.GoldenRun.Open(Orthrus.Cuda.Tests.GoldenRun.Current?.Seed ?? 0);
#else
    internal static readonly DType[] DTypes = [DType.F32, DType.F64];

    internal static Device Open(DType dtype) => new CpuDevice(2);
#endif
}
