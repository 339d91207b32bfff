using System.Runtime.InteropServices;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>Reads the contiguous row-major little-endian bytes of a tensor into a buffer of exactly its size.</summary>
internal delegate void TensorReader(Span<byte> destination);

/// <summary>
/// A named tensor of a checkpoint. Its data stay in the file until asked for, so that loading a model holds one tensor at a time.
/// </summary>
public sealed class StateTensor
{
    private readonly TensorReader _read;

    internal StateTensor(string name, DType dtype, long[] shape, TensorReader read)
    {
        Name = name;
        DType = dtype;
        Shape = shape;
        _read = read;
        long count = 1;
        foreach (long n in shape) count = checked(count * n);
        ElementCount = count;
    }

    /// <summary>Name in the file, e.g. "layers.0.mixer.A_log".</summary>
    public string Name { get; }
    /// <summary>Element type in the file.</summary>
    public DType DType { get; }
    /// <summary>Extents.</summary>
    public IReadOnlyList<long> Shape { get; }
    /// <summary>Number of elements.</summary>
    public long ElementCount { get; }
    /// <summary>Size in bytes.</summary>
    public long ByteCount => ElementCount * DType.Size();

    /// <summary>A tensor that lives in memory.</summary>
    public static StateTensor FromSingle(string name, float[] values, params long[] shape) =>
        new(name, DType.F32, shape, to => MemoryMarshal.AsBytes(values.AsSpan()).CopyTo(to));

    /// <summary>The same data under another name.</summary>
    internal StateTensor Named(string name) => new(name, DType, [.. Shape], _read);

    /// <summary>The bytes as they stand in the file, row-major.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[ByteCount];
        _read(bytes);
        return bytes;
    }

    /// <summary>The elements rounded to float. Floating types only.</summary>
    /// <exception cref="CheckpointException">The tensor holds integers.</exception>
    public float[] ToSingle()
    {
        if (DType == DType.F32)
        {
            var exact = new float[ElementCount];
            _read(MemoryMarshal.AsBytes(exact.AsSpan()));
            return exact;
        }
        byte[] bytes = ToBytes();
        var values = new float[ElementCount];
        switch (DType)
        {
            case DType.F64:
                var wide = MemoryMarshal.Cast<byte, double>(bytes);
                for (int i = 0; i < values.Length; i++) values[i] = (float)wide[i];
                break;
            case DType.F16:
                var half = MemoryMarshal.Cast<byte, Half>(bytes);
                for (int i = 0; i < values.Length; i++) values[i] = (float)half[i];
                break;
            case DType.BF16:
                var upper = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (int i = 0; i < values.Length; i++) values[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
                break;
            default:
                throw new CheckpointException(null, Name, $"holds {DType}, not real numbers");
        }
        return values;
    }

    /// <summary>The elements widened to double. Floating types only.</summary>
    /// <exception cref="CheckpointException">The tensor holds integers.</exception>
    public double[] ToDouble()
    {
        if (DType == DType.F64)
        {
            var exact = new double[ElementCount];
            _read(MemoryMarshal.AsBytes(exact.AsSpan()));
            return exact;
        }
        return Array.ConvertAll(ToSingle(), v => (double)v);
    }

    /// <summary>Integer elements.</summary>
    /// <exception cref="CheckpointException">The tensor holds real numbers.</exception>
    public long[] ToInt64()
    {
        byte[] bytes = ToBytes();
        return DType switch
        {
            DType.I64 => MemoryMarshal.Cast<byte, long>(bytes).ToArray(),
            DType.I32 => Array.ConvertAll(MemoryMarshal.Cast<byte, int>(bytes).ToArray(), v => (long)v),
            DType.U8 or DType.Bool => Array.ConvertAll(bytes, v => (long)v),
            _ => throw new CheckpointException(null, Name, $"holds {DType}, not integers"),
        };
    }
}
