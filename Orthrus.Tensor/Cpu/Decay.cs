using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Orthrus.Tensor.Cpu;

/// <summary>Tables of the scan's exponential.</summary>
internal static class Decay
{
    /// <summary>2^(j/32) for j = 0 to 15.</summary>
    internal static Vector512<float> Low
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(1.0f, 1.0218971967697144f, 1.0442737340927124f, 1.0671404600143433f, 1.0905077457427979f, 1.114386796951294f, 1.1387885808944702f, 1.1637248992919922f, 1.1892070770263672f, 1.215247392654419f, 1.2418577671051025f, 1.2690509557724f, 1.2968395948410034f, 1.3252366781234741f, 1.3542555570602417f, 1.3839099407196045f);
    }

    /// <summary>2^(j/32) for j = 16 to 31.</summary>
    internal static Vector512<float> High
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(1.4142135381698608f, 1.4451807737350464f, 1.4768261909484863f, 1.5091644525527954f, 1.5422108173370361f, 1.5759809017181396f, 1.610490322113037f, 1.6457555294036865f, 1.6817928552627563f, 1.7186193466186523f, 1.7562521696090698f, 1.7947090864181519f, 1.8340080976486206f, 1.8741676807403564f, 1.9152065515518188f, 1.9571441411972046f);
    }

    /// <summary>Bits of 2^(j/8) less what the shifted step number adds to them.</summary>
    internal static Vector256<int> EighthSteps
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256.Create(0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7);
    }
}
