namespace Orthrus.Tensor.Cuda;

/// <summary>What launches of elementwise kernels share with <c>elements</c> in cuda/orthrus.cuh.</summary>
internal static class CudaElements
{
    internal const int Threads = 256;
    /// <summary>Elements of a block.</summary>
    internal const int PerBlock = 4 * Threads;

    /// <summary>True where four elements can be read at once at an address, or at each of several joined by |.</summary>
    internal static bool Fours(DType dtype, nint addresses) => (addresses & (4 * dtype.Size() - 1)) == 0;
}
