namespace Orthrus.Tensor;

/// <summary>
/// Lists of tensors cut into chunks of at most <see cref="ChunkLength"/> elements, so that one parallel call walks all of them: many small tensors cost
/// no call each, and a large one uses all threads. The tables live in scratch memory.
/// </summary>
internal unsafe struct MultiTensor<T> where T : unmanaged
{
    internal const int ChunkLength = 16384;

    private int _count;
    private T** _pointers;
    private Chunk* _chunks;

    private struct Chunk
    {
        internal long Start;
        internal int Tensor, Length;
    }

    /// <summary>Number of chunks.</summary>
    internal int Chunks { get; private set; }

    internal static MultiTensor<T> Of(in UpdateArgs args)
    {
        var multi = new MultiTensor<T> { _count = args.Count };
        long chunks = 0;
        for (int k = 0; k < multi._count; k++) chunks += (args.At(0, k).Count + ChunkLength - 1) / ChunkLength;
        multi.Chunks = checked((int)chunks);
        multi._pointers = (T**)args.Scratch.Empty(new Shape(checked(args.Lists * multi._count * sizeof(T*))), DType.U8).Pointer<byte>();
        multi._chunks = (Chunk*)args.Scratch.Empty(new Shape(checked(multi.Chunks * sizeof(Chunk))), DType.U8).Pointer<byte>();
        for (int list = 0; list < args.Lists; list++)
            for (int k = 0; k < multi._count; k++) multi._pointers[list * multi._count + k] = args.At(list, k).Pointer<T>();
        int next = 0;
        for (int k = 0; k < multi._count; k++)
            for (long start = 0, n = args.At(0, k).Count; start < n; start += ChunkLength)
                multi._chunks[next++] = new Chunk { Tensor = k, Start = start, Length = (int)Math.Min(ChunkLength, n - start) };
        return multi;
    }

    /// <summary>First element of a chunk in one list.</summary>
    internal readonly T* At(int list, int chunk) => _pointers[list * _count + _chunks[chunk].Tensor] + _chunks[chunk].Start;

    /// <summary>Number of elements of a chunk.</summary>
    internal readonly int Length(int chunk) => _chunks[chunk].Length;
}
