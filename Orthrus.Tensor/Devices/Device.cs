namespace Orthrus.Tensor;

/// <summary>Kinds of device.</summary>
public enum DeviceKind : byte
{
    /// <summary>The processor, through vector instructions and threads.</summary>
    Cpu,
    /// <summary>An NVIDIA GPU, or the simulator behind the same driver seam.</summary>
    Cuda,
}

/// <summary>
/// Memory and order of execution of one device. Operators bring their own kernels per device; the seam holds only what all of them share.
/// </summary>
public abstract class Device : IDisposable
{
    private readonly Stack<Scope> _scopes = new();
    private readonly Lock _lock = new();
    private bool _disposed;

    /// <summary>Creates the pool of the device.</summary>
    protected Device() => Pool = new BlockPool(this);

    /// <summary>Which kernels run on it.</summary>
    public abstract DeviceKind Kind { get; }

    /// <summary>Name for messages and reports, e.g. "cpu (AVX-512, 2 threads)".</summary>
    public abstract string Name { get; }

    internal BlockPool Pool { get; }

    /// <summary>Bytes of memory handed out and not yet returned, rounded up to size classes.</summary>
    public long LiveBytes => Pool.LiveBytes;

    /// <summary>Number of blocks handed out and not yet returned; 0 when nothing leaks.</summary>
    public int LiveBlocks => Pool.LiveBlocks;

    /// <summary>Largest <see cref="LiveBytes"/> so far.</summary>
    public long PeakBytes => Pool.PeakBytes;

    /// <summary>Bytes of returned blocks that are kept for the next ones of their size.</summary>
    public long CachedBytes => Pool.FreeBytes;

    /// <summary>Gives the cached blocks back to the system, for work whose sizes do not repeat.</summary>
    public void Trim() => Pool.Trim();

    internal abstract nint Allocate(long bytes);
    internal abstract void Free(nint block, long bytes);
    internal abstract void Upload(nint to, ReadOnlySpan<byte> from);
    internal abstract void Download(Span<byte> to, nint from);
    internal abstract void Copy(nint to, nint from, long bytes);
    internal abstract void Fill(nint block, long bytes, byte value);

    /// <summary>How much memory is free, for messages: a clause that ends with "; ", or nothing where that is not known.</summary>
    internal virtual string Room() => "";

    /// <summary>The pool has handed out a block; so many of its bytes may be used.</summary>
    internal virtual void Rented(nint block, long bytes) { }

    /// <summary>The pool has taken a block back.</summary>
    internal virtual void Returned(nint block) { }

    /// <summary>Waits until everything issued has finished. Immediate on the CPU.</summary>
    public abstract void Synchronize();

    /// <summary>Opens a scope: tensors made in it live until it is disposed, unless they are kept in an outer one.</summary>
    public Scope OpenScope()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        lock (_lock)
        {
            if (!_scopes.TryPop(out var scope)) scope = new Scope(this);
            scope.Open();
            return scope;
        }
    }

    internal void Recycle(Scope scope)
    {
        lock (_lock) _scopes.Push(scope);
    }

    /// <summary>Frees all pooled memory.</summary>
    /// <exception cref="LifetimeException">Blocks are still in use: a scope was not disposed.</exception>
    public void Dispose()
    {
        if (_disposed) return;
        if (Pool.LiveBlocks > 0) throw new LifetimeException($"{Name} closed with memory in use: {Pool.Table()}");
        _disposed = true;
        Pool.Trim();
        Close();
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what the derived device holds besides memory.</summary>
    protected abstract void Close();
}
