using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>Recording of work that is to run again.</summary>
public sealed unsafe partial class CudaDevice
{
    /// <summary>Records what a piece of work gives the device, without running it.</summary>
    /// <param name="work">It must not wait, copy to or from the host, load a kernel for the first time, or allocate from the driver.</param>
    /// <param name="why">Where there is no graph: why it cannot be recorded.</param>
    /// <returns>The graph, or null; then nothing has run, and the work may be given to the device as it is.</returns>
    /// <exception cref="CudaException">An error that has nothing to do with the recording.</exception>
    internal CudaGraph? Capture(Action work, out string? why)
    {
        Enter();
        nint graph = 0, instance = 0;
        why = null;
        var began = _driver.StreamBeginCapture(_stream, CudaCaptureMode.ThreadLocal);
        if (Unrecordable(began, "cuStreamBeginCapture", ref why)) return null;
        Check(began, "cuStreamBeginCapture");
        try
        {
            work();
        }
        catch (Exception e)
        {
            // The stream must leave the recording before anything else can be done with it.
            DriverCalls++;
            if (_driver.StreamEndCapture(_stream, &graph) == CudaResult.Success) _driver.GraphDestroy(graph);
            if (e is not CudaException { Result: { } result } || !IsOfRecording(result)) throw;
            why = e.Message;
            return null;
        }
        var ended = _driver.StreamEndCapture(_stream, &graph);
        if (Unrecordable(ended, "cuStreamEndCapture", ref why)) return null;
        Check(ended, "cuStreamEndCapture");
        var made = _driver.GraphInstantiate(&instance, graph, 0);
        Check(_driver.GraphDestroy(graph), "cuGraphDestroy");
        if (made is CudaResult.OutOfMemory or CudaResult.NotSupported) why = Error(_driver, made, "cuGraphInstantiate", null).Message;
        if (why is not null) return null;
        Check(made, "cuGraphInstantiate");
        return new CudaGraph(this, instance);
    }

    internal void Launch(nint graph)
    {
        Enter();
        Check(_driver.GraphLaunch(graph, _stream), "cuGraphLaunch");
    }

    internal void Destroy(nint graph)
    {
        if (_lost is not null) return;
        Enter();
        Check(_driver.GraphExecDestroy(graph), "cuGraphExecDestroy");
    }

    private bool Unrecordable(CudaResult result, string call, ref string? why)
    {
        if (!IsOfRecording(result)) return false;
        DriverCalls++;
        why = Error(_driver, result, call, null).Message;
        return true;
    }

    private static bool IsOfRecording(CudaResult result) => result is >= CudaResult.StreamCaptureUnsupported and <= CudaResult.StreamCaptureWrongThread;
}

/// <summary>Recorded work: kernels and copies with their addresses, which one call gives to the device again.</summary>
internal sealed class CudaGraph(CudaDevice device, nint handle) : IDisposable
{
    private bool _disposed;

    /// <summary>Gives the work to the device, behind everything before.</summary>
    internal void Launch() => device.Launch(handle);

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        device.Destroy(handle);
    }
}
