using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.PtxSim;

namespace SimulateYourKernel;

/// <summary>A number, raw bytes, or a buffer in device memory.</summary>
internal sealed class LaunchArgument
{
    private const int Chunk = 1 << 16;

    private readonly string _text, _fill;
    private readonly ElementType? _type;
    private readonly long _count;

    private LaunchArgument(string text, ElementType? type, long count, string fill) => (_text, _type, _count, _fill) = (text, type, count, fill);

    internal bool IsBuffer => _count > 0;

    /// <exception cref="FormatException">Not one of the forms that <see cref="Launch.Usage"/> names.</exception>
    internal static LaunchArgument Parse(string text)
    {
        string[] halves = text.Split(':', 2);
        string type = halves[0];
        if (halves.Length == 2 && type == "bytes")
        {
            if (halves[1].Length == 0 || halves[1].Length % 2 != 0 || !halves[1].All(char.IsAsciiHexDigit)) throw new FormatException($"'{text}': raw bytes are pairs of hexadecimal digits, as bytes:01ff");
            return new(text, null, 0, halves[1]);
        }
        long count = 0;
        if (type.EndsWith(']') && type.IndexOf('[') is > 0 and var bracket)
        {
            if (!long.TryParse(type.AsSpan(bracket + 1, type.Length - bracket - 2), NumberStyles.None, CultureInfo.InvariantCulture, out count) || count < 1 || count > long.MaxValue / 8)
                throw new FormatException($"'{text}' has no count in its brackets");
            type = type[..bracket];
        }
        if (halves.Length != 2 || ElementType.Named(type) is not { } element)
            throw new FormatException($"'{text}' is no argument; want TYPE:VALUE, TYPE[COUNT]:FILL or bytes:HEX with {string.Join(", ", ElementType.All.Select(t => t.Name))}");
        var argument = new LaunchArgument(text, element, count, halves[1]);
        if (!argument.IsBuffer || argument._fill is not ("none" or "iota" or "random")) argument.Value();
        return argument;
    }

    /// <summary>The argument for the launch; a buffer is made and filled first.</summary>
    /// <exception cref="FormatException">The buffer is larger than the device's memory or this machine's.</exception>
    internal KernelArgument Place(SimDevice device, int index, out ulong address)
    {
        address = 0;
        if (_type is null) return KernelArgument.FromBytes(Convert.FromHexString(_fill));
        if (!IsBuffer) return KernelArgument.FromBytes(Value());
        try
        {
            address = device.Alloc(_count * _type.Bytes, $"argument {index + 1}");
        }
        catch (SimFault fault) when (fault.Kind == FaultKind.OutOfMemory)
        {
            throw new FormatException(fault.Message, fault);
        }
        catch (OutOfMemoryException)
        {
            throw new FormatException($"argument {index + 1}, '{_text}', is larger than the memory of this machine");
        }
        if (_fill == "none") return address;
        var random = new Random(index + 1);
        byte[] value = _fill is "iota" or "random" ? [] : Value();
        var data = new byte[Chunk * _type.Bytes];
        for (long from = 0; from < _count; from += Chunk)
        {
            int n = (int)Math.Min(Chunk, _count - from);
            for (int i = 0; i < n; i++) (_fill switch { "iota" => _type.Number(from + i), "random" => _type.Random(random), _ => value }).CopyTo(data, i * _type.Bytes);
            device.CopyToDevice(address + (ulong)(from * _type.Bytes), data.AsSpan(0, n * _type.Bytes));
        }
        return address;
    }

    /// <summary>The first elements of a buffer as text.</summary>
    internal string First(SimDevice device, ulong address, int count)
    {
        int n = (int)Math.Min(count, _count);
        byte[] data = device.Read<byte>(address, n * _type!.Bytes);
        return string.Join(' ', Enumerable.Range(0, n).Select(i => _type.Text(data.AsSpan(i * _type.Bytes, _type.Bytes)))) + (n < _count ? " ..." : "");
    }

    private byte[] Value() => _type!.Parse(_fill) ?? throw new FormatException($"'{_fill}' in '{_text}' is {(IsBuffer ? "neither none, iota or random nor " : "")}no number of type {_type.Name}");
}

/// <summary>A type of numbers in memory.</summary>
/// <param name="Name">As the command line has it.</param>
/// <param name="Bytes">Size of one.</param>
/// <param name="Parse">Its bytes from text, or null for what is none or out of range.</param>
/// <param name="Number">Its bytes from a whole number, cut to the type.</param>
/// <param name="Random">Its bytes from a random source: floating point -1 to 1, integers any.</param>
/// <param name="Text">Text from its bytes.</param>
internal sealed record ElementType(string Name, int Bytes, Func<string, byte[]?> Parse, Func<long, byte[]> Number, Func<Random, byte[]> Random, ElementText Text)
{
    internal static IReadOnlyList<ElementType> All { get; } =
    [
        Integer<sbyte>("i8"), Integer<byte>("u8"), Integer<short>("i16"), Integer<ushort>("u16"), Integer<int>("i32"), Integer<uint>("u32"), Integer<long>("i64"), Integer<ulong>("u64"),
        Floating("f16", v => (Half)v, v => (double)v), Floating("bf16", ToBFloat16, v => BitConverter.UInt32BitsToSingle((uint)v << 16)), Floating("f32", v => (float)v, v => v), Floating("f64", v => v, v => v),
    ];

    internal static ElementType? Named(string name) => All.FirstOrDefault(t => t.Name == name);

    private static ElementType Integer<T>(string name) where T : unmanaged, IBinaryInteger<T> =>
        new(name, Marshal.SizeOf<T>(),
            text => T.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var v) ? Of(v) : null,
            v => Of(T.CreateTruncating(v)), random => Of(T.CreateTruncating(random.NextInt64(long.MinValue, long.MaxValue))),
            bytes => MemoryMarshal.Read<T>(bytes).ToString(null, CultureInfo.InvariantCulture));

    private static ElementType Floating<T>(string name, Func<double, T> narrow, Func<T, double> widen) where T : unmanaged =>
        new(name, Marshal.SizeOf<T>(),
            text => double.TryParse(text, CultureInfo.InvariantCulture, out double v) ? Of(narrow(v)) : null,
            v => Of(narrow(v)), random => Of(narrow((2 * random.NextDouble()) - 1)),
            bytes => typeof(T) == typeof(double) ? widen(MemoryMarshal.Read<T>(bytes)).ToString(CultureInfo.InvariantCulture) : ((float)widen(MemoryMarshal.Read<T>(bytes))).ToString(CultureInfo.InvariantCulture));

    private static byte[] Of<T>(T value) where T : unmanaged
    {
        var bytes = new byte[Marshal.SizeOf<T>()];
        MemoryMarshal.Write(bytes, value);
        return bytes;
    }

    // To nearest, ties to even.
    private static ushort ToBFloat16(double value)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)value);
        return double.IsNaN(value) ? (ushort)0x7FFF : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}

/// <summary>Text of one number from its bytes.</summary>
internal delegate string ElementText(ReadOnlySpan<byte> bytes);
