using System.Numerics;
using System.Runtime.InteropServices;

namespace Orthrus.PtxSim.Memory;

/// <summary>Zeroed native memory in sizes of powers of two, kept for the next block: pools hand out and take back at every operator.</summary>
internal sealed unsafe class ShadowStore : IDisposable
{
    private const int Largest = 26;
    private readonly Stack<nint>[] free = [.. Enumerable.Range(0, Largest + 1).Select(_ => new Stack<nint>())];

    public void* Take(ulong bytes)
    {
        int bucket = BucketOf(bytes);
        if (bucket <= Largest && free[bucket].TryPop(out nint p))
        {
            NativeMemory.Clear((void*)p, (nuint)bytes);
            return (void*)p;
        }

        return NativeMemory.AllocZeroed(bucket <= Largest ? (nuint)1 << bucket : (nuint)bytes);
    }

    public void Give(void* memory, ulong bytes)
    {
        int bucket = BucketOf(bytes);
        if (bucket <= Largest && free[bucket].Count < 64)
            free[bucket].Push((nint)memory);
        else
            NativeMemory.Free(memory);
    }

    /// <summary>Bytes that are kept for blocks to come.</summary>
    public long Kept => free.Select((stack, bucket) => (long)stack.Count << bucket).Sum();

    /// <summary>Gives back what is kept.</summary>
    public void Clear()
    {
        foreach (Stack<nint> stack in free)
        {
            while (stack.TryPop(out nint p))
                NativeMemory.Free((void*)p);
        }
    }

    public void Dispose() => Clear();

    private static int BucketOf(ulong bytes) => BitOperations.Log2(Math.Max(bytes, 64) - 1) + 1;
}
