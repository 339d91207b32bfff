using System.Numerics;

namespace Orthrus.Tensor.Cpu;

/// <summary>Code that is written once over vectors and compiled for every width. Implement as a struct that holds the operands.</summary>
/// <typeparam name="T">float or double.</typeparam>
public interface IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Runs with vectors of type <typeparamref name="V"/>.</summary>
    void Run<V>() where V : unmanaged, ISimd<V, T>;
}

/// <summary>Chooses the copy of a kernel that fits the vector width of a device.</summary>
public static class SimdDispatch
{
    /// <summary>Runs code with vectors of a width. No allocation.</summary>
    /// <param name="width">512, 256 or 128 bits; see <see cref="VectorWidths"/>.</param>
    /// <param name="code">What to run.</param>
    /// <exception cref="ArgumentException">No such width.</exception>
    public static void Run<T, TCode>(int width, ref TCode code)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> where TCode : struct, IVectorCode<T>
    {
        switch (VectorWidths.Checked(width))
        {
            case 512: code.Run<V512<T>>(); break;
            case 256: code.Run<V256<T>>(); break;
            default: code.Run<V128<T>>(); break;
        }
    }
}
