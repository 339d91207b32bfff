using System.Runtime.CompilerServices;

namespace Orthrus.Tensor;

/// <summary>Reads an integer operand of any of the integer element types.</summary>
internal readonly unsafe struct IntegerView
{
    private readonly void* _data;
    private readonly DType _dtype;

    internal IntegerView(in Tensor t)
    {
        _dtype = t.DType;
        _data = t.DType switch
        {
            DType.U8 => t.Pointer<byte>(),
            DType.I32 => t.Pointer<int>(),
            _ => t.Pointer<long>(),
        };
    }

    internal long this[long i]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _dtype switch
        {
            DType.U8 => ((byte*)_data)[i],
            DType.I32 => ((int*)_data)[i],
            _ => ((long*)_data)[i],
        };
    }
}
