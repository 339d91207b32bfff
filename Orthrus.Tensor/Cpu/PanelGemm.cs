using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Products of activations in blocks of one vector's channels, [K / lanes][T][lanes], with weights in panels of two vectors.</summary>
public static unsafe class PanelGemm
{
    /// <summary>Largest number of rows of a micro-kernel: what fits the registers of the width.</summary>
    public static int MaxRows<V, T>() where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> => V.ManyRegisters && V.Lanes * sizeof(T) != 32 ? 12 : 6;

    /// <summary>One panel: rows 0 to <paramref name="rows"/> - 1 of a times two vectors of output features.</summary>
    /// <param name="a">Left operand, element (t, k) at (k / lanes) blockStride + t lanes + k % lanes.</param>
    /// <param name="blockStride">Elements between two blocks.</param>
    /// <param name="blocks">K / lanes.</param>
    /// <param name="rows">T.</param>
    /// <param name="panel">Weights [K][2 lanes].</param>
    /// <param name="next">The panel that will be needed next; brought near meanwhile.</param>
    /// <param name="out0">First vector of the outputs, row t at t lanes.</param>
    /// <param name="out1">Second vector.</param>
    /// <param name="bias">2 lanes added at the end, or null.</param>
    /// <param name="accumulate">Adds to the outputs instead of overwriting them.</param>
    public static void Panel<V, T>(T* a, nint blockStride, int blocks, int rows, T* panel, T* next, T* out0, T* out1, T* bias, bool accumulate)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        // Rows are split evenly, so that no call is left with a tiny, inefficient rest.
        int groups = (rows + MaxRows<V, T>() - 1) / MaxRows<V, T>(), done = 0;
        // Each group brings near its own part of the next panel: all of it at once would queue up before the loads of this one.
        nint part = (nint)blocks * V.Lanes / Math.Min(V.Lanes, MicroKernel.Unrolled) * (64 / sizeof(T));
        int parts = Math.Max(1, (int)(2 * (nint)blocks * V.Lanes * V.Lanes / part));
        for (int g = 0; g < groups; g++)
        {
            int count = (rows - done + groups - g - 1) / (groups - g);
            nint at = (nint)done * V.Lanes;
            Rows<V, T>(count, a + at, blockStride, blocks, panel, next + g % parts * part, out0 + at, out1 + at, bias, accumulate);
            done += count;
        }
    }

    private static void Rows<V, T>(int count, T* a, nint blockStride, int blocks, T* w, T* next, T* out0, T* out1, T* bias, bool accumulate)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        switch (count)
        {
            case 1: MicroKernel.Run<V, T, Rows1>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 2: MicroKernel.Run<V, T, Rows2>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 3: MicroKernel.Run<V, T, Rows3>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 4: MicroKernel.Run<V, T, Rows4>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 5: MicroKernel.Run<V, T, Rows5>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 6: MicroKernel.Run<V, T, Rows6>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 7: MicroKernel.Run<V, T, Rows7>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 8: MicroKernel.Run<V, T, Rows8>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 9: MicroKernel.Run<V, T, Rows9>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 10: MicroKernel.Run<V, T, Rows10>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            case 11: MicroKernel.Run<V, T, Rows11>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
            default: MicroKernel.Run<V, T, Rows12>(a, blockStride, blocks, w, next, out0, out1, bias, accumulate); break;
        }
    }
}
