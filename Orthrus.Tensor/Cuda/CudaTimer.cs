namespace Orthrus.Tensor.Cuda;

/// <summary>Times work on a device's stream with two of the driver's events: what the host does in between does not count unless the device waits for it.</summary>
public sealed unsafe class CudaTimer : IDisposable
{
    private readonly CudaDevice _device;
    private readonly nint _start, _end;

    /// <summary>Makes the events.</summary>
    /// <param name="device">Whose stream is timed; it must outlive the timer.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public CudaTimer(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        _device = device;
        // Makes the device's context current on this thread.
        device.Synchronize();
        nint start, end;
        device.Check(device.Driver.EventCreate(&start, 0), "cuEventCreate");
        device.Check(device.Driver.EventCreate(&end, 0), "cuEventCreate");
        (_start, _end) = (start, end);
    }

    /// <summary>Seconds that the stream takes for what an action issues; half a microsecond is the driver's resolution.</summary>
    /// <param name="work">Issues work to the device from this thread.</param>
    /// <exception cref="CudaException">The work fails.</exception>
    public double Time(Action work)
    {
        ArgumentNullException.ThrowIfNull(work);
        _device.Synchronize();
        _device.Check(_device.Driver.EventRecord(_start, _device.Stream.Handle), "cuEventRecord");
        work();
        _device.Check(_device.Driver.EventRecord(_end, _device.Stream.Handle), "cuEventRecord");
        _device.Check(_device.Driver.EventSynchronize(_end), "cuEventSynchronize");
        return Between(_start, _end);
    }

    /// <summary>
    /// Seconds of every kernel that an action launches, in their order. Each launch stands between two events of its own: gaps between launches do not count, the one or two microseconds that an
    /// event takes do, so that the sum is a little more than <see cref="Time"/>'s for short kernels.
    /// </summary>
    /// <param name="work">Issues work to the device from this thread; it must not be a recording.</param>
    /// <exception cref="CudaException">The work fails.</exception>
    public IReadOnlyList<(string Kernel, double Seconds)> TimeLaunches(Action work)
    {
        ArgumentNullException.ThrowIfNull(work);
        var launches = new List<(string Kernel, nint Start, nint End)>();
        var marks = new List<nint>();
        _device.Synchronize();
        _device.LaunchWatcher = (kernel, issued) =>
        {
            nint mark = Mark();
            marks.Add(mark);
            if (issued) launches.Add((kernel, marks[^2], mark));
        };
        try
        {
            work();
            _device.Synchronize();
            return [.. launches.Select(l => (l.Kernel, Between(l.Start, l.End)))];
        }
        finally
        {
            _device.LaunchWatcher = null;
            foreach (nint mark in marks) _device.Driver.EventDestroy(mark);
        }
    }

    private nint Mark()
    {
        nint mark;
        _device.Check(_device.Driver.EventCreate(&mark, 0), "cuEventCreate");
        _device.Check(_device.Driver.EventRecord(mark, _device.Stream.Handle), "cuEventRecord");
        return mark;
    }

    private double Between(nint start, nint end)
    {
        float milliseconds;
        _device.Check(_device.Driver.EventElapsedTime(&milliseconds, start, end), "cuEventElapsedTime");
        return milliseconds * 1e-3;
    }

    /// <summary>Frees the events.</summary>
    public void Dispose()
    {
        _device.Driver.EventDestroy(_start);
        _device.Driver.EventDestroy(_end);
    }
}
