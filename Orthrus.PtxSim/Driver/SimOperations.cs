using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim;

/// <summary>Only order: records of events, waits, begin and end of a graph.</summary>
internal sealed class MarkOperation(string name) : SimOperation
{
    public override string Name => name;

    public override double Execute(SimContext context, SimWork work) => 0;
}

/// <summary>A launch of a kernel; its parameters were copied at the call.</summary>
internal sealed class LaunchOperation(SimKernel kernel, Dim3 grid, Dim3 block, int dynamicShared, byte[] parameters) : SimOperation
{
    public override string Name => $"kernel {kernel.Name}";

    public override double Execute(SimContext context, SimWork work)
    {
        LaunchReport report = context.Device.Run(kernel, grid, block, dynamicShared, parameters, out uint startTime);
        context.Order.TouchedByLaunch(work, startTime);
        context.Launched(report);
        return report.Bounds(context.Device.Spec)[0].Seconds;
    }
}

/// <summary>A copy from host memory: read when it runs (pinned), or as it was at the call (<paramref name="snapshot"/>).</summary>
internal sealed unsafe class UploadOperation(ulong to, nint from, long bytes, byte[]? snapshot) : SimOperation
{
    public override string Name => $"copy of {bytes} bytes to the device";

    public override void Issued(SimContext context, SimWork work)
    {
        if (snapshot is not null || !context.Watch(work, from, bytes, fills: false))
            return;
        work.HostSum = Checksum.Of((byte*)from, bytes);
        work.Watched = true;
    }

    public override double Execute(SimContext context, SimWork work)
    {
        context.Unwatch(work);
        if (work.Watched && Checksum.Of((byte*)from, bytes) != work.HostSum)
            throw new SimFault(FaultKind.StreamOrder, $"{work}: the host wrote to its memory at 0x{from:x} between the call and the copy, which reads it; wait for the copy first (an event behind it)");
        context.Order.Touch(work, to, bytes, write: true);
        if (snapshot is null)
            context.Order.Touch(work, (ulong)from, bytes, write: false, hostMemory: true);
        context.Device.CopyToDevice(to, snapshot ?? new ReadOnlySpan<byte>((byte*)from, checked((int)bytes)));
        return 0;
    }
}

/// <summary>A copy to host memory. Until it runs the target holds no contents: it is filled with 0xFF at the call, which also shows who writes to it.</summary>
internal sealed unsafe class DownloadOperation(nint to, ulong from, long bytes) : SimOperation
{
    public override string Name => $"copy of {bytes} bytes to the host";

    public override void Issued(SimContext context, SimWork work)
    {
        if (!context.Watch(work, to, bytes, fills: true))
            return;
        NativeMemory.Fill((void*)to, (nuint)bytes, 0xFF);
        work.Watched = true;
    }

    public override double Execute(SimContext context, SimWork work)
    {
        context.Unwatch(work);
        var target = new Span<byte>((byte*)to, checked((int)bytes));
        if (work.Watched && target.ContainsAnyExcept((byte)0xFF))
            throw new SimFault(FaultKind.StreamOrder, $"{work}: the host wrote to its memory at 0x{to:x} between the call and the copy, which fills it; wait for the copy first (an event behind it)");
        context.Order.Touch(work, from, bytes, write: false);
        context.Order.Touch(work, (ulong)to, bytes, write: true, hostMemory: true);
        context.Device.CopyToHost(target, from);
        return 0;
    }
}

/// <summary>A copy within the device.</summary>
internal sealed class CopyOperation(ulong to, ulong from, long bytes) : SimOperation
{
    public override string Name => $"copy of {bytes} bytes on the device";

    public override double Execute(SimContext context, SimWork work)
    {
        context.Order.Touch(work, from, bytes, write: false);
        context.Order.Touch(work, to, bytes, write: true);
        context.Device.CopyDevice(to, from, bytes);
        return 2 * bytes / context.Device.Spec.DramBytesPerSecond;
    }
}

/// <summary>A fill with a byte.</summary>
internal sealed class FillOperation(ulong to, byte value, long bytes) : SimOperation
{
    public override string Name => $"fill of {bytes} bytes";

    public override double Execute(SimContext context, SimWork work)
    {
        context.Order.Touch(work, to, bytes, write: true);
        context.Device.Fill(to, value, bytes);
        return bytes / context.Device.Spec.DramBytesPerSecond;
    }
}

/// <summary>
/// A pool hands out a block. In a recording, <paramref name="graph"/> stands for it: each launch hands the block out anew, unless it belongs to someone else by then.
/// </summary>
internal sealed unsafe class RentOperation(ulong address, long bytes, object? graph) : SimOperation
{
    public override string Name => $"a block handed out at 0x{address:x}";

    public override double Execute(SimContext context, SimWork work)
    {
        context.Order.Touch(work, address, bytes, write: true);
        MemoryBlock* block = context.Device.Memory.Find(address);
        if (graph is not null && block != null && block->Start == address && context.BlockOwners.GetValueOrDefault(address) == graph)
            context.Device.Return(address);
        context.Device.Carve(address, bytes);
        if (graph is null)
            context.BlockOwners.Remove(address);
        else
            context.BlockOwners[address] = graph;
        return 0;
    }
}

/// <summary>A pool takes a block back.</summary>
internal sealed unsafe class ReturnOperation(ulong address, object? graph) : SimOperation
{
    public override string Name => $"the return of the block at 0x{address:x}";

    public override double Execute(SimContext context, SimWork work)
    {
        if (graph is not null && context.BlockOwners.GetValueOrDefault(address) != graph)
            return 0;
        MemoryBlock* block = context.Device.Memory.Find(address);
        context.Order.Touch(work, address, block == null ? 0 : (long)block->Size, write: true);
        context.Device.Return(address);
        context.BlockOwners.Remove(address);
        return 0;
    }
}

/// <summary>CRC-32C of memory, by the processor's instruction.</summary>
internal static unsafe class Checksum
{
    public static uint Of(byte* p, long bytes)
    {
        uint a = 0, b = 0;
        long k = 0;
        for (; k + 16 <= bytes; k += 16)
        {
            a = BitOperations.Crc32C(a, *(ulong*)(p + k));
            b = BitOperations.Crc32C(b, *(ulong*)(p + k + 8));
        }

        for (; k < bytes; k++)
            a = BitOperations.Crc32C(a, p[k]);
        return a ^ BitOperations.RotateLeft(b, 7);
    }
}
