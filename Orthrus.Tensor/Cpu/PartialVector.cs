using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Loads and stores of the first elements of a vector, for channels that do not fill one.</summary>
internal static unsafe class PartialVector
{
    /// <summary>The first <paramref name="count"/> elements at p, zeros behind them; nothing else is read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Load<V, T>(T* p, int count) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        count == V.Lanes ? V.Load(p) : LoadSome<V, T>(p, count);

    /// <summary>Writes the first <paramref name="count"/> lanes and nothing else.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store<V, T>(T* p, V v, int count) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (count == V.Lanes) V.Store(p, v);
        else StoreSome(p, v, count);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static V LoadSome<V, T>(T* p, int count) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* lanes = stackalloc T[V.Lanes];
        for (int i = 0; i < V.Lanes; i++) lanes[i] = i < count ? p[i] : T.Zero;
        return V.Load(lanes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StoreSome<V, T>(T* p, V v, int count) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* lanes = stackalloc T[V.Lanes];
        V.Store(lanes, v);
        for (int i = 0; i < count; i++) p[i] = lanes[i];
    }
}
