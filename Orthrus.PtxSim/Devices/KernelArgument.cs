using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Orthrus.PtxSim;

/// <summary>The bytes of an argument: numbers and device addresses convert by themselves, structs through <see cref="Of"/>.</summary>
public readonly struct KernelArgument
{
    private readonly byte[] bytes;

    private KernelArgument(byte[] bytes) => this.bytes = bytes;

    /// <summary>The argument's bytes.</summary>
    public ReadOnlySpan<byte> Bytes => bytes;

    /// <summary>A struct, laid out as C++ lays out its members.</summary>
    /// <typeparam name="T">A type without references.</typeparam>
    /// <param name="value">The value.</param>
    public static KernelArgument Of<T>(T value)
        where T : unmanaged
    {
        byte[] copy = new byte[Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(copy, value);
        return new KernelArgument(copy);
    }

    /// <summary>Bytes as they stand in the parameter buffer.</summary>
    /// <param name="bytes">The bytes; copied.</param>
    public static KernelArgument FromBytes(ReadOnlySpan<byte> bytes) => new(bytes.ToArray());

    /// <summary>A 32-bit integer.</summary>
    /// <param name="value">The value.</param>
    public static implicit operator KernelArgument(int value) => Of(value);

    /// <summary>A 32-bit integer.</summary>
    /// <param name="value">The value.</param>
    public static implicit operator KernelArgument(uint value) => Of(value);

    /// <summary>A 64-bit integer.</summary>
    /// <param name="value">The value.</param>
    public static implicit operator KernelArgument(long value) => Of(value);

    /// <summary>A 64-bit integer or device address.</summary>
    /// <param name="value">The value.</param>
    public static implicit operator KernelArgument(ulong value) => Of(value);

    /// <summary>An f32.</summary>
    /// <param name="value">The value.</param>
    public static implicit operator KernelArgument(float value) => Of(value);

    /// <summary>An f64.</summary>
    /// <param name="value">The value.</param>
    public static implicit operator KernelArgument(double value) => Of(value);
}
