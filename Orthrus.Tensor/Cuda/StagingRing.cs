namespace Orthrus.Tensor.Cuda;

/// <summary>
/// Pinned memory through which host arrays reach the device and come back: copies from pageable memory would make the host wait for each. A slot is used
/// again only after the event behind its last copy has passed.
/// </summary>
internal sealed unsafe class StagingRing : IDisposable
{
    private const int Slots = 4, SlotBytes = 1 << 20;

    private readonly CudaDevice _device;
    private readonly ICudaDriver _driver;
    private readonly nint _stream;
    private readonly byte* _memory;
    private readonly nint[] _events = new nint[Slots];
    private readonly bool[] _busy = new bool[Slots];
    private int _next;

    internal StagingRing(CudaDevice device, ICudaDriver driver, nint stream)
    {
        (_device, _driver, _stream) = (device, driver, stream);
        void* memory;
        device.Check(driver.MemHostAlloc(&memory, Slots * SlotBytes, 0), "cuMemHostAlloc");
        _memory = (byte*)memory;
        const uint withoutTiming = 2;
        for (int i = 0; i < Slots; i++)
        {
            nint e;
            device.Check(driver.EventCreate(&e, withoutTiming), "cuEventCreate");
            _events[i] = e;
        }
    }

    internal void Upload(ulong to, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            int n = Math.Min(SlotBytes, from.Length), slot = Take();
            byte* at = _memory + (long)slot * SlotBytes;
            from[..n].CopyTo(new Span<byte>(at, n));
            _device.Check(_driver.MemcpyHtoDAsync(to, at, (nuint)n, _stream), "cuMemcpyHtoDAsync");
            _device.Check(_driver.EventRecord(_events[slot], _stream), "cuEventRecord");
            _busy[slot] = true;
            from = from[n..];
            to += (ulong)n;
        }
    }

    /// <summary>
    /// Copies to the host, after everything before it on the stream. All slots together are one piece; the host waits for each piece and empties it before the next is
    /// asked for, so copies to the host do not overlap: whoever downloads needs the result now.
    /// </summary>
    internal void Download(Span<byte> to, ulong from)
    {
        while (to.Length > 0)
        {
            int whole = Math.Min(to.Length, Slots * SlotBytes);
            for (int i = 0; i < Slots; i++) Wait(i);
            _device.Check(_driver.MemcpyDtoHAsync(_memory, from, (nuint)whole, _stream), "cuMemcpyDtoHAsync");
            _device.Check(_driver.StreamSynchronize(_stream), "cuStreamSynchronize");
            new ReadOnlySpan<byte>(_memory, whole).CopyTo(to);
            to = to[whole..];
            from += (ulong)whole;
        }
    }

    private int Take()
    {
        int slot = _next;
        _next = (_next + 1) % Slots;
        Wait(slot);
        return slot;
    }

    private void Wait(int slot)
    {
        if (!_busy[slot]) return;
        _device.Check(_driver.EventSynchronize(_events[slot]), "cuEventSynchronize");
        _busy[slot] = false;
    }

    public void Dispose()
    {
        _driver.StreamSynchronize(_stream);
        foreach (nint e in _events) _driver.EventDestroy(e);
        _driver.MemFreeHost(_memory);
    }
}
