namespace Orthrus.Tensor;

/// <summary>Addresses of operands for kernels' arguments.</summary>
internal static class CudaOperand
{
    /// <summary>Address of an operand that may be absent.</summary>
    internal static nint AddressOrNull(in Tensor t) => t.IsNone ? 0 : t.Address;

    /// <summary>Whether rows of <paramref name="channels"/> numbers can be read four at a time: their number is a multiple of four and each operand begins at a multiple of four of its numbers.</summary>
    internal static bool ByFours(int channels, params ReadOnlySpan<Tensor> operands)
    {
        if (channels % 4 != 0) return false;
        foreach (ref readonly var t in operands)
            if (!t.IsNone && t.Address % (4 * t.DType.Size()) != 0) return false;
        return true;
    }
}
