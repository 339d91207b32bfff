using System.Globalization;
using System.Numerics;
using System.Text;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>printf and assert of kernels. Arguments lie in the local memory of the lane at the offsets in Ext.</summary>
internal static unsafe class HostCalls
{
    public static Instr* Print(Core core, Instr* i, byte* r, uint m)
    {
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong format = Argument(core, i, 0, l), values = Argument(core, i, 1, l);
            string text = Format(core, core.HostText(format, l), core.HostPointer(values, l), l);
            core.Launch.Options.Print?.Invoke(text);
            core.Launch.Output.Add(text);
            *(uint*)(core.Warp.Local + (l * core.Warp.LocalBytes) + i->Ext[2]) = 0;
            new Span<byte>(core.Warp.LocalWritten + (l * core.Warp.LocalBytes) + i->Ext[2], 4).Fill(1);
        }

        return i + 1;
    }

    public static Instr* Assert(Core core, Instr* i, byte* r, uint m)
    {
        int l = BitOperations.TrailingZeroCount(m);
        string message = core.HostText(Argument(core, i, 0, l), l), file = core.HostText(Argument(core, i, 1, l), l), function = core.HostText(Argument(core, i, 3, l), l);
        throw core.Fault(FaultKind.Trap, i, l, 0, $"assertion '{message}' failed in {function}, {file} line {(uint)Argument(core, i, 2, l)}");
    }

    private static ulong Argument(Core core, Instr* i, int index, int lane) => *(ulong*)(core.Warp.Local + (lane * core.Warp.LocalBytes) + i->Ext[index]);

    /// <summary>printf of C: arguments follow each other at their natural alignment, floats as doubles.</summary>
    private static string Format(Core core, string format, byte* values, int lane)
    {
        var text = new StringBuilder();
        long at = 0;
        for (int c = 0; c < format.Length; c++)
        {
            if (format[c] != '%')
            {
                text.Append(format[c]);
                continue;
            }

            int start = c++;
            while (c < format.Length && (char.IsAsciiDigit(format[c]) || format[c] is '-' or '+' or ' ' or '#' or '.' or 'l' or 'h' or 'z' or 'j' or 't'))
                c++;
            if (c >= format.Length)
                return text.Append(format, start, c - start).ToString();
            if (format[c] == '%')
            {
                text.Append('%');
                continue;
            }

            if (values == null)
                return text.Append(format, start, format.Length - start).ToString();
            string specification = format[start..(c + 1)];
            bool wide = specification.Contains("ll", StringComparison.Ordinal) || specification.Contains('l', StringComparison.Ordinal)
                || specification.Contains('z', StringComparison.Ordinal) || format[c] is 's' or 'p' or 'f' or 'e' or 'g' or 'E' or 'G' or 'a';
            if (wide)
                at = (at + 7) & ~7;
            ulong bits = wide ? *(ulong*)(values + at) : *(uint*)(values + at);
            at += wide ? 8 : 4;
            text.Append(Pad(specification, One(core, format[c], bits, wide, specification, lane)));
        }

        return text.ToString();
    }

    private static string One(Core core, char kind, ulong bits, bool wide, string specification, int lane)
    {
        double real = BitConverter.UInt64BitsToDouble(bits);
        int dot = specification.IndexOf('.', StringComparison.Ordinal);
        int digits = 6;
        if (dot >= 0)
        {
            int end = dot + 1;
            while (char.IsAsciiDigit(specification[end]))
                end++;
            digits = end == dot + 1 ? 0 : int.Parse(specification.AsSpan(dot + 1, end - dot - 1), CultureInfo.InvariantCulture);
        }

        return kind switch
        {
            'd' or 'i' => (wide ? (long)bits : (int)bits).ToString(CultureInfo.InvariantCulture),
            'u' => bits.ToString(CultureInfo.InvariantCulture),
            'x' => bits.ToString("x", CultureInfo.InvariantCulture),
            'X' => bits.ToString("X", CultureInfo.InvariantCulture),
            'o' => Convert.ToString((long)bits, 8),
            'p' => "0x" + bits.ToString("x", CultureInfo.InvariantCulture),
            'c' => ((char)(byte)bits).ToString(),
            's' => core.HostText(bits, lane),
            'e' or 'E' => Exponent(real.ToString((kind == 'e' ? "e" : "E") + digits, CultureInfo.InvariantCulture)),
            'g' or 'G' => real.ToString("G" + Math.Max(1, digits), CultureInfo.InvariantCulture),
            _ => real.ToString("F" + digits, CultureInfo.InvariantCulture),
        };
    }

    /// <summary>C writes two digits of exponent, .NET three.</summary>
    private static string Exponent(string text) => text.Length > 4 && text[^3] == '0' && text[^4] is '+' or '-' ? text.Remove(text.Length - 3, 1) : text;

    private static string Pad(string specification, string value)
    {
        int at = 1;
        bool left = false, zero = false;
        for (; at < specification.Length && specification[at] is '-' or '0' or '+' or ' ' or '#'; at++)
        {
            left |= specification[at] == '-';
            zero |= specification[at] == '0';
        }

        int width = 0;
        for (; at < specification.Length && char.IsAsciiDigit(specification[at]); at++)
            width = (width * 10) + (specification[at] - '0');
        return left ? value.PadRight(width) : zero && value.StartsWith('-') ? "-" + value[1..].PadLeft(width - 1, '0') : value.PadLeft(width, zero ? '0' : ' ');
    }
}
