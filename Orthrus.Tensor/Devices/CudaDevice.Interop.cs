using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>Contexts, streams and memory that belong to somebody else. Ownership stays where it was.</summary>
public sealed unsafe partial class CudaDevice
{
    private nint _mark;

    /// <summary>Opens a device in a context that somebody else has made. Neither context nor stream is ever destroyed by the device; both must live longer.</summary>
    /// <param name="context">The CUcontext, primary or not. In ManagedCuda context.Context.Pointer.</param>
    /// <param name="stream">A stream of that context on which everything shall run; null for one of the device's own, which waits for no other.</param>
    /// <remarks>A call of the device makes the context current on the calling thread and leaves it so.</remarks>
    /// <exception cref="DeviceException">No context, or a stream of another one.</exception>
    /// <exception cref="CudaException">No driver, or the handle is no context that lives.</exception>
    public static CudaDevice FromContext(nint context, CudaStream? stream = null) => FromContext(LibCuda.Open(), context, stream);

    internal static CudaDevice FromContext(ICudaDriver driver, nint context, CudaStream? stream = null)
    {
        if (context == 0) throw new DeviceException("a device from context 0: give the CUcontext of its owner (in ManagedCuda context.Context.Pointer)");
        int device;
        Check(driver, driver.Init(0), "cuInit");
        Check(driver, driver.CtxSetCurrent(context), "cuCtxSetCurrent", $"context 0x{context:x}");
        Check(driver, driver.CtxGetDevice(&device), "cuCtxGetDevice");
        return new(driver, context, device, stream, ownsContext: false);
    }

    /// <summary>Work that the device is given from now on waits for everything that a stream has been given so far. The host does not wait.</summary>
    /// <param name="stream">A stream of the device's context.</param>
    /// <exception cref="DeviceException">The stream belongs to another context.</exception>
    /// <exception cref="CudaException">The handle is no stream.</exception>
    public void WaitFor(CudaStream stream)
    {
        Enter();
        Order(Own(stream), _stream);
    }

    /// <summary>Work that the device is given from now on waits for the last record of an event, of whichever context or device. The host does not wait.</summary>
    /// <exception cref="CudaException">The handle is no event.</exception>
    public void WaitFor(CudaEvent e)
    {
        Enter();
        Check(_driver.StreamWaitEvent(_stream, e.Handle, 0), "cuStreamWaitEvent");
    }

    /// <summary>Work that a stream is given from now on waits for everything that the device has been given so far. The host does not wait.</summary>
    /// <param name="stream">A stream of the device's context.</param>
    /// <exception cref="DeviceException">The stream belongs to another context.</exception>
    /// <exception cref="CudaException">The handle is no stream.</exception>
    public void Precede(CudaStream stream)
    {
        Enter();
        Order(_stream, Own(stream));
    }

    /// <summary>Records an event behind everything that the device has been given so far, for whoever wants to wait for it.</summary>
    /// <param name="e">An event of the device's context.</param>
    /// <exception cref="CudaException">The handle is no event of the context.</exception>
    public void Record(CudaEvent e)
    {
        Enter();
        Check(_driver.EventRecord(e.Handle, _stream), "cuEventRecord");
    }

    /// <summary>Refuses memory that the device's kernels cannot use.</summary>
    internal void CheckPointer(nint pointer, long bytes, DType dtype)
    {
        if (pointer % dtype.Size() != 0) throw new ShapeException($"0x{pointer:x} is no multiple of {dtype.Size()} bytes, as {dtype} needs");
        if (bytes == 0) return;
        Enter();
        int device;
        nint context;
        ulong start;
        nuint size;
        var result = _driver.PointerGetAttribute(&device, CudaPointerAttribute.DeviceOrdinal, (ulong)pointer);
        if (result == CudaResult.InvalidValue) throw new DeviceException($"0x{pointer:x} is no memory of a CUDA device: give the CUdeviceptr of its owner (in ManagedCuda variable.DevicePointer.Pointer), while its memory lives");
        Check(result, "cuPointerGetAttribute");
        if (device != _device) throw new DeviceException($"0x{pointer:x} is memory of CUDA device {device}, not of {Name}: open a device in its context, or copy it");
        Check(_driver.PointerGetAttribute(&context, CudaPointerAttribute.Context, (ulong)pointer), "cuPointerGetAttribute");
        if (context != 0 && context != _context) throw new DeviceException($"0x{pointer:x} is memory of another context: open the device with CudaDevice.FromContext(0x{context:x})");
        Check(_driver.PointerGetAttribute(&start, CudaPointerAttribute.RangeStart, (ulong)pointer), "cuPointerGetAttribute");
        Check(_driver.PointerGetAttribute(&size, CudaPointerAttribute.RangeSize, (ulong)pointer), "cuPointerGetAttribute");
        long room = (long)(start + size - (ulong)pointer);
        if (bytes > room) throw new ShapeException($"{bytes:N0} bytes from 0x{pointer:x} on: the allocation has {room:N0} from there");
    }

    private nint Own(CudaStream stream)
    {
        nint context;
        Check(_driver.StreamGetCtx(stream.Handle, &context), "cuStreamGetCtx", $"stream 0x{stream.Handle:x}");
        return context == _context ? stream.Handle : throw new DeviceException($"stream 0x{stream.Handle:x} belongs to another context than {Name}: record an event there, and wait for that");
    }

    private void Order(nint before, nint after)
    {
        if (before == after) return;
        if (_mark == 0)
        {
            const uint withoutTiming = 2;
            nint made;
            Check(_driver.EventCreate(&made, withoutTiming), "cuEventCreate");
            _mark = made;
        }
        Check(_driver.EventRecord(_mark, before), "cuEventRecord");
        Check(_driver.StreamWaitEvent(after, _mark, 0), "cuStreamWaitEvent");
    }
}
