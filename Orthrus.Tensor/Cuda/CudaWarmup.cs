using System.Diagnostics;

namespace Orthrus.Tensor.Cuda;

/// <summary>The kernels of one source on a device.</summary>
/// <param name="Source">cuda/SOURCE.cu.</param>
/// <param name="Activations">F32 or BF16.</param>
/// <param name="Origin">"NVRTC": compiled now; "cache": compiled earlier; "embedded PTX": it comes with the engine, and the driver finishes it.</param>
/// <param name="Elapsed">Time to find or compile it and to load it.</param>
public sealed record WarmKernels(string Source, DType Activations, string Origin, TimeSpan Elapsed);

/// <summary>Brings all kernels onto a device before they are needed, so that the cache of compiled kernels holds them.</summary>
public static class CudaWarmup
{
    /// <summary>The cache of compiled kernels: $ORTHRUS_CACHE, or a folder in the user's cache folder.</summary>
    public static string Folder => CudaImages.CacheFolder();

    /// <summary>Why the cache cannot be written, or null where it can.</summary>
    public static string? WhyNotWritable => CudaImages.WhyNotWritable();

    /// <summary>Loads the kernels of every source, one after the other.</summary>
    /// <param name="device">A device that has launched nothing yet.</param>
    /// <returns>One row per source and kind of activations that it has kernels for.</returns>
    /// <exception cref="CudaException">Kernels cannot be compiled, or the driver refuses them.</exception>
    public static IEnumerable<WarmKernels> Run(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        foreach (string name in CudaResources.Sources)
            foreach (bool bfloat16 in new[] { false, true })
            {
                // Sources without BF16 operands have no BF16 form.
                if (bfloat16 && (device.ComputeCapability < CudaVariant.OldestBFloat16.Architecture || !CudaResources.HasBFloat16(name))) continue;
                var clock = Stopwatch.StartNew();
                string origin = device.LoadAhead(CudaSource.BuiltIn(name), bfloat16);
                yield return new(name, bfloat16 ? DType.BF16 : DType.F32, origin, clock.Elapsed);
            }
    }
}
