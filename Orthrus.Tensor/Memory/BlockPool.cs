using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;

namespace Orthrus.Tensor;

/// <summary>
/// Caches freed blocks by size class: steps of 512 bytes up to 1 MiB, above steps of 2 MiB or an eighth of the next lower power of two, so that batches of nearly one shape share blocks.
/// Thread-safe. When the device is out of memory all free blocks are released and the request is tried once more. Blocks of the host are cheap to get again: there the cache and what is in use
/// stay within one and a half times the most that has been in use at once, and 64 MiB, whatever shapes come.
/// </summary>
internal sealed class BlockPool(Device device)
{
    private const long SmallStep = 512, SmallLimit = 1 << 20, LargeStep = 2 << 20;
    private const int GuardBytes = 256;
    // Steps of few bytes shall not thrash.
    private const long HostSlack = 64 << 20;
    private readonly Dictionary<long, Stack<Storage>> _free = [];
    private readonly Dictionary<long, int> _counts = [];
    private readonly Lock _lock = new();

    internal long LiveBytes { get; private set; }
    internal int LiveBlocks { get; private set; }
    internal long FreeBytes { get; private set; }
    internal long PeakBytes { get; private set; }

    /// <summary>
    /// For checks: blocks arrive filled with 0xFF (NaN, -1), so that contents which nobody wrote show up, and carry a zone behind their end
    /// that is examined when they come back.
    /// </summary>
    internal bool Guard { get; set; }

    /// <summary>Number of guarded blocks that came back with something written behind their end.</summary>
    internal int Overruns { get; private set; }

    internal static long SizeClass(long bytes)
    {
        long step = bytes <= SmallLimit ? SmallStep : Math.Max(LargeStep, (long)(BitOperations.RoundUpToPowerOf2((ulong)bytes) >> 4));
        return Math.Max(step, (bytes + step - 1) / step * step);
    }

    internal Storage Rent(long bytes)
    {
        long capacity = SizeClass(Guard ? bytes + GuardBytes : bytes);
        lock (_lock)
        {
            if (Arena is null || !Arena.TryTake(capacity, out var block))
            {
                if (_free.TryGetValue(capacity, out var stack) && stack.TryPop(out block)) FreeBytes -= capacity;
                else
                {
                    if (device.Kind == DeviceKind.Cpu) MakeRoom(capacity);
                    block = new Storage { Device = device, Capacity = capacity, Pointer = Allocate(capacity) };
                }
                Arena?.Adopt(block);
            }
            capacity = block.Capacity;
            LiveBytes += capacity;
            LiveBlocks++;
            PeakBytes = Math.Max(PeakBytes, LiveBytes);
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, capacity, out _)++;
            block.Guarded = Guard ? bytes : -1;
            device.Rented(block.Pointer, Guard ? capacity : bytes);
            if (Guard) device.Fill(block.Pointer, capacity, 0xFF);
            return block;
        }
    }

    internal void Return(Storage block)
    {
        lock (_lock)
        {
            if (block.Guarded >= 0 && !GuardIntact(block)) Overruns++;
            device.Returned(block.Pointer);
            block.Generation++;
            block.Owner = null;
            LiveBytes -= block.Capacity;
            LiveBlocks--;
            if (block.Arena is { } arena) arena.GiveBack(block);
            else Keep(block);
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, block.Capacity, out _)--;
        }
    }

    /// <summary>Where blocks come from while it is set; those it lacks it keeps.</summary>
    internal BlockArena? Arena { get; set; }

    /// <summary>Takes the blocks of an arena that ends.</summary>
    internal void End(BlockArena arena)
    {
        lock (_lock)
            foreach (var block in arena.Empty()) Keep(block);
    }

    private void Keep(Storage block)
    {
        if (!_free.TryGetValue(block.Capacity, out var stack)) _free[block.Capacity] = stack = new Stack<Storage>();
        stack.Push(block);
        FreeBytes += block.Capacity;
    }

    /// <summary>Gives every free block back to the device.</summary>
    internal void Trim()
    {
        lock (_lock)
        {
            foreach (var stack in _free.Values)
                while (stack.TryPop(out var block)) device.Free(block.Pointer, block.Capacity);
            FreeBytes = 0;
        }
    }

    private void MakeRoom(long capacity)
    {
        long most = Math.Max(PeakBytes, LiveBytes + capacity);
        most += most / 2 + HostSlack;
        // The largest first: few of them are soon enough.
        while (LiveBytes + FreeBytes + capacity > most && FreeBytes > 0)
        {
            long largest = 0;
            foreach (var (size, stack) in _free)
                if (stack.Count > 0 && size > largest) largest = size;
            FreeBytes -= largest;
            device.Free(_free[largest].Pop().Pointer, largest);
        }
    }

    private bool GuardIntact(Storage block)
    {
        Span<byte> zone = stackalloc byte[GuardBytes];
        device.Synchronize();
        device.Download(zone, block.Pointer + (nint)block.Guarded);
        return !zone.ContainsAnyExcept((byte)0xFF);
    }

    private nint Allocate(long capacity)
    {
        try
        {
            return device.Allocate(capacity);
        }
        catch (OutOfMemoryException)
        {
            Trim();
            try
            {
                return device.Allocate(capacity);
            }
            catch (OutOfMemoryException e)
            {
                string facts = $"{capacity:N0} bytes more are not to be had; {device.Room()}in use: {Table()}";
                throw new DeviceOutOfMemoryException($"{device.Name}: {facts}; use smaller batches or shorter records, or end other programs that use the device", e) { Facts = facts };
            }
        }
    }

    /// <summary>Live blocks by size, largest first, for messages.</summary>
    internal string Table()
    {
        lock (_lock)
        {
            var text = new StringBuilder($"{LiveBytes:N0} bytes in {LiveBlocks} blocks");
            foreach (var (size, count) in _counts.Where(p => p.Value > 0).OrderByDescending(p => p.Key * p.Value).Take(6))
                text.Append($", {count} x {size:N0}");
            return text.ToString();
        }
    }
}
