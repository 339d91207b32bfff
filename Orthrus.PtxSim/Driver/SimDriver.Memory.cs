using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>Memory and copies.</summary>
public sealed unsafe partial class SimDriver
{
    private delegate SimOperation Prepare(SimContext context, bool captured);

    CudaResult ICudaDriver.MemGetInfo(nuint* free, nuint* total)
    {
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            *total = (nuint)c.Device.MemoryBytes;
            *free = (nuint)(c.Device.MemoryBytes - c.Device.UsedBytes);
            return CudaResult.Success;
        }
    }

    CudaResult ICudaDriver.MemAlloc(ulong* pointer, nuint bytes)
    {
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        if (bytes == 0)
            return Fail(CudaResult.InvalidValue, "0 bytes");
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            if (Unsafe("cuMemAlloc") is var unsafeCall && unsafeCall != CudaResult.Success)
                return unsafeCall;
            try
            {
                *pointer = c.Device.Alloc(checked((long)bytes));
                return CudaResult.Success;
            }
            catch (SimFault fault) when (fault.Kind == FaultKind.OutOfMemory)
            {
                return Fail(CudaResult.OutOfMemory, fault.Message);
            }
        }
    }

    CudaResult ICudaDriver.MemFree(ulong pointer)
    {
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        if (pointer == 0)
            return CudaResult.Success;
        lock (c.Gate)
        {
            if (Unsafe("cuMemFree") is var unsafeCall && unsafeCall != CudaResult.Success)
                return unsafeCall;
            if (c.SynchroniseAll() is var ended && ended != CudaResult.Success)
                return ended;
            try
            {
                c.Device.Free(pointer);
                return CudaResult.Success;
            }
            catch (SimFault fault)
            {
                return Fail(CudaResult.InvalidValue, fault.Message);
            }
        }
    }

    CudaResult ICudaDriver.MemHostAlloc(void** pointer, nuint bytes, uint flags)
    {
        const uint known = 7;
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        if (bytes == 0 || (flags & ~known) != 0)
            return Fail(CudaResult.InvalidValue);
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            if (Unsafe("cuMemHostAlloc") is var unsafeCall && unsafeCall != CudaResult.Success)
                return unsafeCall;
        }

        void* p = NativeMemory.AlignedAlloc(bytes, 4096);
        NativeMemory.Fill(p, bytes, 0xFF);
        pinned[(nint)p] = bytes;
        *pointer = p;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.MemFreeHost(void* pointer)
    {
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        lock (c.Gate)
        {
            if (Unsafe("cuMemFreeHost") is var unsafeCall && unsafeCall != CudaResult.Success)
                return unsafeCall;
            CudaResult ended = c.SynchroniseAll();
            if (!pinned.TryRemove((nint)pointer, out _))
                return Fail(CudaResult.InvalidValue, $"0x{(nint)pointer:x} is not the start of pinned memory");
            NativeMemory.AlignedFree(pointer);
            return ended;
        }
    }

    CudaResult ICudaDriver.MemcpyHtoDAsync(ulong to, void* from, nuint bytes, nint stream)
    {
        if (bytes > int.MaxValue)
            return Fail(CudaResult.InvalidValue, "a simulated copy between host and device takes at most 2 GB");
        bool async = IsPinned((nint)from, bytes);
        return Copy(stream, to, 0, bytes, (_, captured) => new UploadOperation(to, (nint)from, (long)bytes, async || captured ? null : new ReadOnlySpan<byte>(from, (int)bytes).ToArray()), waits: false);
    }

    CudaResult ICudaDriver.MemcpyDtoHAsync(void* to, ulong from, nuint bytes, nint stream)
    {
        if (bytes > int.MaxValue)
            return Fail(CudaResult.InvalidValue, "a simulated copy between host and device takes at most 2 GB");
        return Copy(stream, 0, from, bytes, (_, _) => new DownloadOperation((nint)to, from, (long)bytes), waits: !IsPinned((nint)to, bytes));
    }

    CudaResult ICudaDriver.MemcpyDtoDAsync(ulong to, ulong from, nuint bytes, nint stream) => Omits("cuMemcpyDtoDAsync") ? CudaResult.Success : Copy(stream, to, from, bytes, (_, _) => new CopyOperation(to, from, (long)bytes), waits: false);

    CudaResult ICudaDriver.MemsetD8Async(ulong to, byte value, nuint bytes, nint stream) => Omits("cuMemsetD8Async") ? CudaResult.Success : Copy(stream, to, 0, bytes, (_, _) => new FillOperation(to, value, (long)bytes), waits: false);

    CudaResult ICudaDriver.PointerGetAttribute(void* value, CudaPointerAttribute attribute, ulong pointer)
    {
        if (Enter(out _) is var result && result != CudaResult.Success)
            return result;
        foreach (SimContext c in contexts.OfType<SimContext>())
        {
            lock (c.Gate)
            {
                if (c.Device.Memory.AllocationAt(pointer) is not var (start, bytes))
                    continue;
                switch (attribute)
                {
                    case CudaPointerAttribute.Context:
                        return Set((nint*)value, c.Handle);
                    case CudaPointerAttribute.DeviceOrdinal:
                        return Set((int*)value, c.Ordinal);
                    case CudaPointerAttribute.RangeStart:
                        return Set((nint*)value, (nint)start);
                    case CudaPointerAttribute.RangeSize:
                        return Set((nint*)value, (nint)bytes);
                    default:
                        return Fail(CudaResult.InvalidValue, $"pointer attribute {(int)attribute} is not simulated");
                }
            }
        }

        return Fail(CudaResult.InvalidValue, $"0x{pointer:x} is in no allocation");
    }

    void IBlockObserver.BlockRented(ulong pointer, long bytes, nint stream) => Block(stream, graph => new RentOperation(pointer, Math.Max(1, bytes), graph), ownedByGraph: true);

    void IBlockObserver.BlockReturned(ulong pointer, nint stream) => Block(stream, graph => new ReturnOperation(pointer, graph), ownedByGraph: false);

    // Pageable memory is staged by the driver: it is read before the call returns, and a copy to it has ended when the call returns.
    private CudaResult Copy(nint stream, ulong to, ulong from, nuint bytes, Prepare prepare, bool waits)
    {
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        SimContext c = s.Context;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            if (bytes == 0)
                return CudaResult.Success;
            foreach (ulong address in (ReadOnlySpan<ulong>)[to, from])
            {
                if (address != 0 && !c.Device.Memory.InAllocation(address, (long)bytes))
                    return Fail(CudaResult.InvalidValue, $"{bytes} bytes at 0x{address:x} are not inside one allocation{c.Device.Memory.Describe(address)}");
            }

            bool captured = s.Capture is not null;
            CudaResult issued = Issue(s, prepare(c, captured));
            return issued == CudaResult.Success && waits && !captured ? c.Synchronise(s.Tail) : issued;
        }
    }

    // The pool's books go on while a stream is recorded: the block is taken now, and in the graph once more for each of its launches.
    private void Block(nint stream, Func<object?, SimOperation> make, bool ownedByGraph)
    {
        if (Stream(stream, out SimStream s) != CudaResult.Success)
            throw new InvalidOperationException($"a pool works on stream 0x{stream:x}, which is none");
        lock (s.Context.Gate)
        {
            if (s.Context.Error != CudaResult.Success)
                return;
            SimCapture? capture = s.Capture;
            capture?.Add(s, make(capture));
            s.Context.Append(s, make(ownedByGraph ? capture : null));
            s.Context.Settle();
        }
    }

    private bool IsPinned(nint pointer, nuint bytes)
    {
        foreach ((nint start, nuint size) in pinned)
        {
            if (pointer >= start && (nuint)(pointer - start) + bytes <= size)
                return true;
        }

        return false;
    }
}
