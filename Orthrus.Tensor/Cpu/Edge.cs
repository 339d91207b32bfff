using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Vectors at the end of a row, so that a loop over a row has one body: lanes past the end are filled on load and dropped on store.</summary>
internal static unsafe class Edge
{
    /// <summary>The elements at <paramref name="p"/>; where fewer than a vector are <paramref name="left"/>, the other lanes are those of <paramref name="fill"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Load<V, T>(T* p, int left, V fill) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        left >= V.Lanes ? V.Load(p) : LoadPart(p, left, fill);

    /// <summary>The same with zeros past the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Load<V, T>(T* p, int left) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> => Load(p, left, V.Zero);

    /// <summary>Stores the first <paramref name="left"/> lanes, at most all.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store<V, T>(T* p, V v, int left) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (left >= V.Lanes) V.Store(p, v);
        else StorePart(p, v, left);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static V LoadPart<V, T>(T* p, int left, V fill) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = (T*)&fill;
        for (int i = 0; i < left; i++) lanes[i] = p[i];
        return fill;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StorePart<V, T>(T* p, V v, int left) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = (T*)&v;
        for (int i = 0; i < left; i++) p[i] = lanes[i];
    }
}
