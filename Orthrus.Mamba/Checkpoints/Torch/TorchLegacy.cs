using System.Buffers.Binary;
using System.Numerics;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Torch;

/// <summary>
/// The form of torch.save before 1.6: pickles of a magic number, a protocol number and the writer's system, the object, the keys of its storages; then per
/// storage its number of elements (int64) and their bytes.
/// </summary>
internal static class TorchLegacy
{
    private const int Protocol = 1001;
    private static readonly BigInteger Magic = BigInteger.Parse("119547037146038801333356");

    /// <summary>Reads everything but the elements.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensor">Makes a named tensor of a view in the pickle.</param>
    /// <returns>The saved object.</returns>
    internal static object? Read(string path, out Func<string, TorchTensor, StateTensor> tensor)
    {
        using var file = SafeTensors.Open(path);
        long length = RandomAccess.GetLength(file);
        if (length > Array.MaxLength) throw new CheckpointException(path, null, "an old-style PyTorch file of more than 2 GB", "save it again with a current PyTorch");
        var bytes = new byte[length];
        SafeTensors.ReadExactly(file, bytes, 0, path);
        int at = 0;
        if (!(Unpickler.Read(path, bytes, ref at) is BigInteger magic && magic == Magic)) throw new CheckpointException(path, null, "not a PyTorch file: a pickle without PyTorch's number at its start");
        if (Unpickler.Read(path, bytes, ref at) is not (long)Protocol) throw new CheckpointException(path, null, "an unknown version of PyTorch's old file form");
        if (Unpickler.Read(path, bytes, ref at) is PickleDict system && system.TryGet("little_endian", out object? little) && little is false)
            throw new CheckpointException(path, null, "the numbers are big-endian", "save the checkpoint on a little-endian machine");
        object? top = Unpickler.Read(path, bytes, ref at);
        if (Unpickler.Read(path, bytes, ref at) is not List<object?> keys) throw new CheckpointException(path, null, "the list of storages is missing", "download it again");
        var sizes = StorageSizes(top);
        var begins = new Dictionary<string, long>(StringComparer.Ordinal);
        long position = at;
        foreach (object? k in keys)
        {
            if (k as string is not { } key || !sizes.TryGetValue(key, out var storage)) throw new CheckpointException(path, null, "a storage that no tensor uses", "save it again with a current PyTorch");
            if (position > length - 8) throw new CheckpointException(path, null, "the file ends before its storages", "download it again");
            long count = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan((int)position));
            if (storage.DType is not { } dtype) throw new CheckpointException(path, null, $"storage {key} has a type that is not known");
            if (count != storage.Count || count > (length - position - 8) / dtype.Size()) throw new CheckpointException(path, null, $"storage {key} is cut short or of another size than the pickle says", "download it again");
            begins[key] = position + 8;
            position += 8 + count * dtype.Size();
        }
        tensor = (name, t) => begins.TryGetValue(t.Storage.Key, out long begin)
            ? StorageView.Open(path, length, name, t, begin)
            : throw new CheckpointException(path, name, $"storage {t.Storage.Key} is not in the file");
        return top;
    }

    // Walks the object once, by identity: shared and circular references are common and hostile nesting is possible, so neither recursion nor repetition.
    private static Dictionary<string, TorchStorage> StorageSizes(object? top)
    {
        var found = new Dictionary<string, TorchStorage>(StringComparer.Ordinal);
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
        var todo = new Stack<object?>([top]);
        while (todo.TryPop(out object? value))
        {
            if (value is TorchTensor t) found.TryAdd(t.Storage.Key, t.Storage);
            else if (value is TorchStorage s) found.TryAdd(s.Key, s);
            else if (value is PickleDict or List<object?> or PickleTuple && seen.Add(value))
                foreach (object? child in value is PickleDict d ? d.Entries.Select(e => e.Value) : value is List<object?> l ? l : ((PickleTuple)value).Items) todo.Push(child);
        }
        return found;
    }
}
