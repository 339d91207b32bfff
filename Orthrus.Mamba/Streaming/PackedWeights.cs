using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Streaming;

/// <summary>Native memory of a fixed size, aligned to pages and zeroed.</summary>
internal sealed unsafe class NativeBuffer<T> : IDisposable where T : unmanaged
{
    private T* _pointer;

    internal NativeBuffer(long count)
    {
        _pointer = (T*)NativeMemory.AlignedAlloc((nuint)Math.Max(64, count * sizeof(T)), 4096);
        NativeMemory.Clear(_pointer, (nuint)Math.Max(64, count * sizeof(T)));
    }

    internal T* Pointer => _pointer;

    public void Dispose()
    {
        NativeMemory.AlignedFree(_pointer);
        _pointer = null;
    }
}

/// <summary>
/// Weights of one layer in the order in which the kernels read them. Layer norm's weight is folded into in_proj, its bias into a bias vector;
/// all extents are padded with zeros to whole vectors, so that kernels need no tails.
/// </summary>
internal sealed unsafe class PackedLayer<V, T> : IDisposable where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly NativeBuffer<T> _memory;

    /// <summary>in_proj's x half and z half: panels [Ep / 2 lanes][Dp][2 lanes], and the folded bias [Ep].</summary>
    internal readonly T* InX, InZ, BiasX, BiasZ;
    /// <summary>Convolution: taps [Ep / lanes][4][lanes], bias [Ep].</summary>
    internal readonly T* Taps, ConvBias;
    /// <summary>x_proj: panels over its padded outputs (dt, B, C), K = Ep.</summary>
    internal readonly T* XProj;
    /// <summary>dt_proj: panels [Ep / 2 lanes][Rp][2 lanes], bias [Ep].</summary>
    internal readonly T* DtProj, DtBias;
    /// <summary>-exp(A_log) log2 e: [Ep / lanes][Np][lanes]; the largest delta for which the decay's exponent is representable, [Ep]; skip D, [Ep].</summary>
    internal readonly T* A2, DeltaLimit, Skip;
    /// <summary>out_proj: panels [Dp / 2 lanes][Ep][2 lanes].</summary>
    internal readonly T* Out;

    internal PackedLayer(PackedShape s, Func<string, double[]> tensor, string prefix)
    {
        long inPanels = (long)s.Ep * s.Dp, total = 2 * inPanels + 2 * s.Ep + 5L * s.Ep + (long)s.Xp * s.Ep + (long)s.Ep * s.Rp + s.Ep + (long)s.Ep * s.Np + 2 * s.Ep + (long)s.Dp * s.Ep;
        _memory = new NativeBuffer<T>(total + 4096);
        T* next = _memory.Pointer;
        T* Take(long n)
        {
            T* p = next;
            next += n;
            return p;
        }
        InX = Take(inPanels); InZ = Take(inPanels); XProj = Take((long)s.Xp * s.Ep); DtProj = Take((long)s.Ep * s.Rp); Out = Take((long)s.Dp * s.Ep);
        A2 = Take((long)s.Ep * s.Np); BiasX = Take(s.Ep); BiasZ = Take(s.Ep); Taps = Take(4 * s.Ep); ConvBias = Take(s.Ep);
        DtBias = Take(s.Ep); DeltaLimit = Take(s.Ep); Skip = Take(s.Ep);

        int d = s.D, e = s.E, lanes = V.Lanes;
        double[] gain = tensor(prefix + "norm.weight"), shift = tensor(prefix + "norm.bias");
        double[] w = tensor(prefix + "mixer.in_proj.weight");
        for (int half = 0; half < 2; half++)
        {
            T* panel = half == 0 ? InX : InZ, bias = half == 0 ? BiasX : BiasZ;
            for (int j = 0; j < e; j++)
            {
                long row = (long)(half * e + j) * d;
                double b = 0;
                for (int k = 0; k < d; k++)
                {
                    panel[PanelIndex(j, k, s.Dp)] = T.CreateTruncating(w[row + k] * gain[k]);
                    b += w[row + k] * shift[k];
                }
                bias[j] = T.CreateTruncating(b);
            }
        }
        Fill(DtProj, tensor(prefix + "mixer.dt_proj.weight"), e, s.R, s.Rp, j => j);
        Fill(Out, tensor(prefix + "mixer.out_proj.weight"), d, e, s.Ep, j => j);
        Fill(XProj, tensor(prefix + "mixer.x_proj.weight"), s.R + 2 * s.N, e, s.Ep, j => j < s.R ? j : j < s.R + s.N ? s.Rp + j - s.R : s.Rp + s.Np + j - s.R - s.N);

        double[] taps = tensor(prefix + "mixer.conv1d.weight"), aLog = tensor(prefix + "mixer.A_log");
        for (int j = 0; j < e; j++)
        {
            for (int k = 0; k < 4; k++) Taps[(j / lanes * 4 + k) * lanes + j % lanes] = T.CreateTruncating(taps[j * 4 + k]);
            double largest = 0;
            for (int n = 0; n < s.N; n++)
            {
                double a = Math.Exp(aLog[j * s.N + n]) * 1.4426950408889634;
                A2[((long)(j / lanes) * s.Np + n) * lanes + j % lanes] = T.CreateTruncating(-a);
                largest = Math.Max(largest, a);
            }
            DeltaLimit[j] = T.CreateTruncating(Math.Min(1e30, 9e4 / Math.Max(largest, 1e-30)));
        }
        Copy(ConvBias, tensor(prefix + "mixer.conv1d.bias"));
        Copy(DtBias, tensor(prefix + "mixer.dt_proj.bias"));
        Copy(Skip, tensor(prefix + "mixer.D"));
    }

    public void Dispose() => _memory.Dispose();

    private static long PanelIndex(int feature, int k, int depth)
    {
        int width = 2 * V.Lanes;
        return ((long)(feature / width) * depth + k) * width + feature % width;
    }

    private static void Fill(T* panel, double[] w, int features, int inputs, int depth, Func<int, int> place)
    {
        for (int j = 0; j < features; j++)
        {
            int at = place(j);
            for (int k = 0; k < inputs; k++) panel[PanelIndex(at, k, depth)] = T.CreateTruncating(w[(long)j * inputs + k]);
        }
    }

    private static void Copy(T* to, double[] from)
    {
        for (int i = 0; i < from.Length; i++) to[i] = T.CreateTruncating(from[i]);
    }
}

/// <summary>Extents of an encoder and what they are padded to for a vector of some lanes.</summary>
internal sealed record PackedShape(MambaConfig Config, int Lanes)
{
    internal int D => Config.DModel;
    internal int E => Config.DInner;
    internal int R => Config.DtRank;
    internal int N => Config.DState;
    /// <summary>Widths in whole panels, dt rank and states in whole vectors (states also in whole groups of 8).</summary>
    internal int Dp { get; } = Up(Config.DModel, 2 * Lanes);
    internal int Ep { get; } = Up(Config.DInner, 2 * Lanes);
    internal int Rp { get; } = Up(Config.DtRank, Lanes);
    internal int Np { get; } = Up(Config.DState, Math.Max(8, Lanes));
    /// <summary>Outputs of x_proj: dt, B, C.</summary>
    internal int Xp => Up(Rp + 2 * Np, 2 * Lanes);

    private static int Up(int n, int step) => (n + step - 1) / step * step;
}
