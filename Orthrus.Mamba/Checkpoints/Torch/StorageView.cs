using Microsoft.Win32.SafeHandles;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Torch;

/// <summary>Makes named tensors of views into storages that lie in a file.</summary>
internal static class StorageView
{
    /// <summary>Expanded tensors may be larger than their file, but not without bound.</summary>
    private const long LargestExpansion = 64, AlwaysAllowed = 1 << 20;

    /// <summary>The tensor under this name; its bytes are read when asked for.</summary>
    /// <param name="path">The file.</param>
    /// <param name="fileLength">Its length.</param>
    /// <param name="name">Name in the state dict.</param>
    /// <param name="t">The view; already known to lie inside the storage as claimed.</param>
    /// <param name="begin">First byte of the storage in the file; the storage as claimed lies inside the file.</param>
    internal static StateTensor Open(string path, long fileLength, string name, TorchTensor t, long begin)
    {
        if (t.Storage.DType is not { } dtype) throw new CheckpointException(path, name, "the tensor's storage has a type that is not known");
        int size = dtype.Size();
        long count = 1;
        foreach (long n in t.Shape) count *= n;
        if (count * size > Math.Max(AlwaysAllowed, LargestExpansion * fileLength)) throw new CheckpointException(path, name, $"claims {count} elements, far more than the file holds");
        return new StateTensor(name, dtype, t.Shape, to => Read(path, begin, t, size, to));
    }

    private static void Read(string path, long begin, TorchTensor t, int size, Span<byte> to)
    {
        if (to.IsEmpty) return;
        using SafeFileHandle file = SafeTensors.Open(path);
        if (IsContiguous(t))
        {
            SafeTensors.ReadExactly(file, to, begin + t.Offset * size, path);
            return;
        }
        long last = 0;
        for (int i = 0; i < t.Shape.Length; i++) last += (t.Shape[i] - 1) * t.Strides[i];
        var raw = new byte[(last + 1) * size];
        SafeTensors.ReadExactly(file, raw, begin + t.Offset * size, path);
        var position = new long[t.Shape.Length];
        long from = 0;
        for (int at = 0; at < to.Length; at += size)
        {
            raw.AsSpan((int)(from * size), size).CopyTo(to[at..]);
            // Counts up like an odometer, last axis fastest.
            for (int i = position.Length - 1; i >= 0; i--)
            {
                from += t.Strides[i];
                if (++position[i] < t.Shape[i]) break;
                from -= t.Strides[i] * t.Shape[i];
                position[i] = 0;
            }
        }
    }

    private static bool IsContiguous(TorchTensor t)
    {
        long expected = 1;
        for (int i = t.Shape.Length - 1; i >= 0; i--)
        {
            if (t.Shape[i] != 1 && t.Strides[i] != expected) return false;
            expected *= t.Shape[i];
        }
        return true;
    }
}
