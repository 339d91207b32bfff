namespace Orthrus.Tensor;

/// <summary>
/// Lists of tensors as the kernels of cuda/updates.cu take them: as part of the launch's argument, so that nothing is uploaded and no memory allocated. More
/// tensors than fit take another launch.
/// </summary>
internal unsafe struct MultiTensorCuda
{
    internal const int Capacity = 88, MaxLists = 4, ChunkLength = 4096, Threads = 256;

    private fixed ulong _at[MaxLists * Capacity];
    private fixed long _count[Capacity];
    private fixed int _first[Capacity];
    private int _tensors;

    /// <summary>Takes tensors from <paramref name="next"/> on until no more fit, and moves it behind them.</summary>
    /// <returns>Blocks of the launch, 0 where all of them are empty.</returns>
    internal int Take(in UpdateArgs args, ref int next)
    {
        long blocks = 0;
        _tensors = 0;
        for (; next < args.Count && _tensors < Capacity; next++)
        {
            long count = args.At(0, next).Count;
            if (count == 0) continue;
            for (int list = 0; list < args.Lists; list++) _at[list * Capacity + _tensors] = (ulong)args.At(list, next).Address;
            _count[_tensors] = count;
            _first[_tensors++] = checked((int)blocks);
            blocks += (count + ChunkLength - 1) / ChunkLength;
        }
        return checked((int)blocks);
    }

    /// <summary>Blocks of all launches.</summary>
    internal static int Blocks(in UpdateArgs args)
    {
        long blocks = 0;
        for (int k = 0; k < args.Count; k++) blocks += (args.At(0, k).Count + ChunkLength - 1) / ChunkLength;
        return checked((int)blocks);
    }
}
