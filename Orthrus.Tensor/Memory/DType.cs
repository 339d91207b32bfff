namespace Orthrus.Tensor;

/// <summary>Element type of a tensor. Compute happens in <see cref="F32"/> and, for checking, <see cref="F64"/>; the others are storage.</summary>
public enum DType : byte
{
    /// <summary>IEEE binary32, 4 bytes.</summary>
    F32,
    /// <summary>IEEE binary64, 8 bytes.</summary>
    F64,
    /// <summary>bfloat16: the upper half of a binary32, 2 bytes. Converted at the edge, never computed in on the CPU.</summary>
    BF16,
    /// <summary>IEEE binary16, 2 bytes. Storage only.</summary>
    F16,
    /// <summary>Signed 32-bit integer.</summary>
    I32,
    /// <summary>Signed 64-bit integer.</summary>
    I64,
    /// <summary>Unsigned byte: track bytes and labels.</summary>
    U8,
    /// <summary>Boolean, one byte.</summary>
    Bool,
}

/// <summary>Sizes of <see cref="DType"/> values.</summary>
public static class DTypes
{
    /// <summary>Size of one element in bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not a member of <see cref="DType"/>.</exception>
    public static int Size(this DType dtype) => dtype switch
    {
        DType.F64 or DType.I64 => 8,
        DType.F32 or DType.I32 => 4,
        DType.BF16 or DType.F16 => 2,
        DType.U8 or DType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "not a DType"),
    };
}
