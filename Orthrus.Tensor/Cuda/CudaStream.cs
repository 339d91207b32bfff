namespace Orthrus.Tensor;

/// <summary>
/// A CUstream by its handle, made by whoever: the order in which a device does work. It owns nothing; the stream must live as long as somebody uses it.
/// </summary>
public readonly record struct CudaStream
{
    private CudaStream(nint handle) => Handle = handle;

    /// <summary>The default stream of the context, in its legacy form: it waits for all streams that are not non-blocking, and they for it.</summary>
    public static CudaStream Default => default;

    /// <summary>The CUstream; 0 is the default stream.</summary>
    public nint Handle { get; }

    /// <summary>A stream that somebody else has made. Nothing is checked before it is used.</summary>
    /// <param name="handle">Its CUstream; 0 for the default stream. In ManagedCuda stream.Stream.Pointer.</param>
    public static CudaStream FromHandle(nint handle) => new(handle);
}

/// <summary>A CUevent by its handle, made by whoever. It owns nothing.</summary>
public readonly record struct CudaEvent
{
    private CudaEvent(nint handle) => Handle = handle;

    /// <summary>The CUevent.</summary>
    public nint Handle { get; }

    /// <summary>An event that somebody else has made. Nothing is checked before it is used.</summary>
    /// <param name="handle">Its CUevent. In ManagedCuda e.Event.Pointer.</param>
    public static CudaEvent FromHandle(nint handle) => new(handle);
}
