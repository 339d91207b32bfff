using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>CUDA C++ of one or more kernels. It may include "orthrus.cuh".</summary>
/// <param name="name">Name for messages and caches, as "silu".</param>
/// <param name="text">The source.</param>
public sealed class CudaSource(string name, string text)
{
    /// <summary>Name for messages and caches.</summary>
    public string Name { get; } = name;
    /// <summary>The source.</summary>
    public string Text { get; } = text;

    /// <summary>A source that comes with the engine: cuda/NAME.cu.</summary>
    /// <exception cref="ArgumentException">There is none of that name.</exception>
    public static CudaSource BuiltIn(string name) =>
        new(name, CudaResources.Text($"cuda/{name}.cu") ?? throw new ArgumentException($"there is no cuda/{name}.cu", nameof(name)));
}

/// <summary>
/// A kernel by source and entry point: extern "C", with one struct by value as its only parameter. A static object per kernel; each device loads it at its
/// first launch, once for F32 and once for BF16 activations.
/// </summary>
public sealed class CudaKernel
{
    private static int _count;
    private readonly Lazy<CudaSource> _source;

    /// <summary>A kernel of the engine.</summary>
    /// <param name="file">cuda/FILE.cu.</param>
    /// <param name="entry">Name of the function.</param>
    public CudaKernel(string file, string entry) : this(new Lazy<CudaSource>(() => CudaSource.BuiltIn(file)), entry) { }

    /// <summary>A user's own kernel.</summary>
    /// <param name="source">Its source.</param>
    /// <param name="entry">Name of the function.</param>
    public CudaKernel(CudaSource source, string entry) : this(new Lazy<CudaSource>(source), entry) { }

    private CudaKernel(Lazy<CudaSource> source, string entry)
    {
        _source = source;
        Entry = entry;
        Id = Interlocked.Increment(ref _count) - 1;
    }

    /// <summary>Where it stands.</summary>
    public CudaSource Source => _source.Value;
    /// <summary>Name of the function.</summary>
    public string Entry { get; }
    /// <summary>Place in a device's table.</summary>
    internal int Id { get; }

    /// <summary>What the CUDA members of an operator throw that is for the CPU alone: <c>=> throw CudaKernel.Missing(Name, args.Scratch);</c></summary>
    /// <param name="op">Name of the operator.</param>
    /// <param name="scope">Scratch of the call.</param>
    public static DeviceException Missing(string op, Scope scope) => new($"{op} has no CUDA kernel: run it on the CPU, not on {scope.Device.Name}");
}

/// <summary>Blocks of a launch.</summary>
/// <param name="X">Along x, at most 2^31 - 1.</param>
/// <param name="Y">Along y, at most 65,535.</param>
/// <param name="Z">Along z, at most 65,535.</param>
public readonly record struct CudaGrid(int X, int Y = 1, int Z = 1)
{
    /// <summary>Most blocks along y.</summary>
    public const int MaxY = 65535;

    /// <summary>Blocks along x alone.</summary>
    public static implicit operator CudaGrid(int x) => new(x);

    /// <summary>Blocks of a size that cover a count.</summary>
    /// <exception cref="OverflowException">More than 2^31 - 1 blocks.</exception>
    public static int Cover(long count, int perBlock) => checked((int)((count + perBlock - 1) / perBlock));
}
