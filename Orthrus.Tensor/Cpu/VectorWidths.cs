using System.Runtime.Intrinsics;

namespace Orthrus.Tensor.Cpu;

/// <summary>Vector widths of this machine, in bits. Every width computes on every machine; a wider one than the processor has is emulated and slow.</summary>
public static class VectorWidths
{
    /// <summary>Name of the environment variable that forces a width for the whole process: 512, 256 or 128.</summary>
    public const string Variable = "ORTHRUS_VECTOR";

    /// <summary>All widths that kernels are compiled for.</summary>
    public static IReadOnlyList<int> All { get; } = [512, 256, 128];

    /// <summary>Widths that the processor runs at full speed, widest first.</summary>
    public static IReadOnlyList<int> Native { get; } = [.. All.Where(w => w switch
    {
        512 => Vector512.IsHardwareAccelerated,
        256 => Vector256.IsHardwareAccelerated,
        _ => Vector128.IsHardwareAccelerated,
    })];

    /// <summary>The forced width, else the widest native one.</summary>
    /// <exception cref="ArgumentException">The variable holds something else.</exception>
    public static int Default
    {
        get
        {
            string? forced = Environment.GetEnvironmentVariable(Variable);
            if (string.IsNullOrEmpty(forced)) return Native.Count > 0 ? Native[0] : 128;
            return int.TryParse(forced, out int width) && All.Contains(width) ? width : throw new ArgumentException($"{Variable}={forced}: use 512, 256 or 128, or unset it");
        }
    }

    /// <summary>The width itself.</summary>
    /// <exception cref="ArgumentException">Kernels of this width do not exist.</exception>
    public static int Checked(int width) => All.Contains(width) ? width : throw new ArgumentException($"vectors of {width} bits: use 512, 256 or 128");
}
