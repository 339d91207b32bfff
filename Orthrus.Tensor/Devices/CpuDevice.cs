using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>The processor: native memory aligned to pages' worth of vectors, and a fixed set of worker threads.</summary>
public sealed unsafe class CpuDevice : Device
{
    private const nuint Alignment = 4096;

    /// <summary>Opens the processor.</summary>
    /// <param name="threads">Threads that share the work of an op, the calling one included; 0 takes one per logical processor. Results do not depend on it.</param>
    /// <param name="vectorWidth">512, 256 or 128 bits; 0 takes the widest that the processor runs at full speed. Results depend on it within rounding.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative, or more than 1,024.</exception>
    /// <exception cref="ArgumentException">No such vector width.</exception>
    public CpuDevice(int threads = 0, int vectorWidth = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        VectorWidth = vectorWidth == 0 ? VectorWidths.Default : VectorWidths.Checked(vectorWidth);
        Workers = new WorkerPool(threads == 0 ? Environment.ProcessorCount : threads);
    }

    /// <inheritdoc/>
    public override DeviceKind Kind => DeviceKind.Cpu;

    /// <inheritdoc/>
    public override string Name => $"cpu ({VectorWidth}-bit vectors, {Workers.Threads} {(Workers.Threads == 1 ? "thread" : "threads")})";

    /// <summary>Threads that share the work of an op.</summary>
    public WorkerPool Workers { get; }

    /// <summary>Width of the vectors that kernels use, in bits.</summary>
    public int VectorWidth { get; }

    internal override nint Allocate(long bytes) => (nint)NativeMemory.AlignedAlloc((nuint)bytes, Alignment);

    internal override void Free(nint block, long bytes) => NativeMemory.AlignedFree((void*)block);

    internal override void Upload(nint to, ReadOnlySpan<byte> from) => from.CopyTo(new Span<byte>((void*)to, from.Length));

    internal override void Download(Span<byte> to, nint from) => new ReadOnlySpan<byte>((void*)from, to.Length).CopyTo(to);

    internal override void Copy(nint to, nint from, long bytes) => NativeMemory.Copy((void*)from, (void*)to, (nuint)bytes);

    internal override void Fill(nint block, long bytes, byte value) => NativeMemory.Fill((void*)block, (nuint)bytes, value);

    /// <inheritdoc/>
    public override void Synchronize() { }

    /// <inheritdoc/>
    protected override void Close() => Workers.Dispose();
}
