using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Selective scan: h[t] = exp(d[t] A) h[t-1] + d[t] u[t] B[t], y[t] = (C[t] h[t] + D u[t]) silu(z[t]), with d = softplus(delta + bias), for every
/// sequence, channel and state (the sum over states in C h).
/// </summary>
/// <remarks>
/// u, delta, z, y (B, L, E), F32 or F64; A_log (E, N) with A = -exp(A_log), or A itself where the options say so; B, C (B, L, N); D, bias (E); initial and
/// state (B, E, N). Absent: D is 0, the gate is 1, bias is 0, the initial state is 0. state is h after the last position: running [0, cut) and then
/// [cut, L) from its state gives what one run gives. Softplus is the identity above 20. Decays that underflow are 0, subnormal numbers may be
/// flushed to it. NaN and infinity stay in their channel and sequence (those of B and C in their sequence), except in gradients that are sums over it. L may be 0. A positive
/// A, given itself, is refused on the CPU; a kernel on a CUDA device cannot refuse, and its state grows as the recurrence says.
/// Forward leaves the states at the start of every 32 positions, B L E N / 32 numbers, and backward replays from there.
/// CPU: vectors of channels, items of 128 channels of one sequence; the partial sums of dB and dC are 2 B L N E / 128 numbers. CUDA: with BF16 activations the channels' shares of dB and dC are cut to 11
/// binary digits before they are added up, and NaN or infinity in one shows at up to three positions beside. Source: Gu and Dao 2023, Mamba, algorithm 2; upstream's selective_scan_fn.
/// </remarks>
/// <exception cref="ShapeException">Shapes that do not fit, or on the CPU a positive A (given itself): the state would grow without bound.</exception>
public sealed partial class SelectiveScan : IOp<SelectiveScan.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="PlainA">The third operand is A itself, at most 0, rather than log(-A).</param>
    public readonly record struct Attr(bool PlainA = false);

    internal const int U = 0, Delta = 1, A = 2, Bt = 3, Ct = 4, D = 5, Z = 6, Bias = 7, Initial = 8;
    private const int Y = 0, State = 1;

    /// <inheritdoc/>
    public static string Name => "selective_scan";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new(
        [
            new("u"), new("delta"), new("A_log", Precision: Precision.Wide), new("B"), new("C"), new("D", Optional: true, Precision: Precision.Wide), new("z", Optional: true),
            new("bias", Optional: true, Precision: Precision.Wide), new("initial", Optional: true, Precision: Precision.Wide),
        ],
        [new("y"), new("state", Precision: Precision.Wide)]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs | Saves.Workspace;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        Shape u = rule.Rank(U, 3), a = rule.Rank(A, 2), channels = new(u[2]);
        int n = a[1];
        rule.Require(A, n is >= 1 and <= 256, $"has shape {a}; want 1 to 256 states");
        rule.Exactly(Delta, u);
        rule.Exactly(A, new Shape(u[2], n));
        rule.Exactly(Bt, new Shape(u[0], u[1], n));
        rule.Exactly(Ct, new Shape(u[0], u[1], n));
        rule.Exactly(D, channels);
        rule.Exactly(Z, u);
        rule.Exactly(Bias, channels);
        var state = new Shape(u[0], u[2], n);
        rule.Exactly(Initial, state);
        rule.Out(Y, u);
        rule.Out(State, state);
    }

    /// <inheritdoc/>
    /// <remarks>States at the start of every 32 steps; on the CPU in the order of its kernels, whole groups of channels.</remarks>
    public static TensorSpec Workspace(in ShapeRule rule, in Attr attr, DeviceKind device)
    {
        var u = rule.In(U).Shape;
        int n = rule.In(A).Shape[1];
        return device == DeviceKind.Cuda
            ? new(new Shape(u[0], Groups(u[1], Tile), u[2], n), DType.F32)
            : new(new Shape(u[0], Groups(u[2], ScanCall<float>.GroupWidth), Groups(u[1], Tile), ScanCall<float>.GroupWidth * n), rule.DType);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        var shape = args.Shape(U);
        int L = shape[1], E = shape[2], N = args.Shape(A)[1];
        var h = new R[N];
        for (int b = 0; b < shape[0]; b++)
            for (int e = 0; e < E; e++)
            {
                for (int n = 0; n < N; n++) h[n] = args.Has(Initial) ? args.In(Initial)[(b * E + e) * N + n] : R.From(0);
                for (int t = 0; t < L; t++)
                {
                    int i = (b * L + t) * E + e, j = (b * L + t) * N;
                    var u = args.In(U)[i];
                    var d = Real.Softplus(args.Has(Bias) ? args.In(Delta)[i] + args.In(Bias)[e] : args.In(Delta)[i]);
                    var y = args.Has(D) ? args.In(D)[e] * u : R.From(0);
                    for (int n = 0; n < N; n++)
                    {
                        var a = args.In(A)[e * N + n];
                        if (!attr.PlainA) a = -R.Exp(a);
                        h[n] = R.Exp(d * a) * h[n] + d * u * args.In(Bt)[j + n];
                        y += args.In(Ct)[j + n] * h[n];
                    }
                    args.Out(Y)[i] = args.Has(Z) ? y * Real.SiLU(args.In(Z)[i]) : y;
                }
                for (int n = 0; n < N; n++) args.Out(State)[(b * E + e) * N + n] = h[n];
            }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var code = new ScanForward<T>
        {
            Call = ScanCall<T>.Of(args.Inputs, attr), Y = args.Outputs[Y].Pointer<T>(), State = args.Outputs[State].Pointer<T>(), Starts = ScanCall<T>.PointerOrNull(args.Workspace), Scratch = args.Scratch, Workers = args.Workers,
        };
        SimdDispatch.Run<T, ScanForward<T>>(args.VectorWidth, ref code);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var code = new ScanBackward<T>
        {
            Call = ScanCall<T>.Of(args.Inputs, attr), Starts = args.Workspace.Pointer<T>(), Scratch = args.Scratch, Workers = args.Workers,
            Dy = ScanCall<T>.PointerOrNull(args.OutputGrads[Y]), DState = ScanCall<T>.PointerOrNull(args.OutputGrads[State]),
            Du = ScanCall<T>.PointerOrNull(args.InputGrads[U]), DDelta = ScanCall<T>.PointerOrNull(args.InputGrads[Delta]), DA = ScanCall<T>.PointerOrNull(args.InputGrads[A]),
            DB = ScanCall<T>.PointerOrNull(args.InputGrads[Bt]), DC = ScanCall<T>.PointerOrNull(args.InputGrads[Ct]), DD = ScanCall<T>.PointerOrNull(args.InputGrads[D]),
            Dz = ScanCall<T>.PointerOrNull(args.InputGrads[Z]), DBias = ScanCall<T>.PointerOrNull(args.InputGrads[Bias]), DInitial = ScanCall<T>.PointerOrNull(args.InputGrads[Initial]),
        };
        SimdDispatch.Run<T, ScanBackward<T>>(args.VectorWidth, ref code);
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        // Per state: the decay's product and exp, drive, two fused operations; backward replays that and adds eight operations, most of them fused.
        long elements = rule.In(U).Shape.Count, states = rule.In(A).Shape.Last, operands = rule.AllBytes() - rule.OutBytes(Y) - rule.OutBytes(State);
        return new(elements * (7 * states + 12), rule.AllBytes(), elements * (26 * states + 40), rule.GradientBytes() + operands);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput none = SampleInput.Absent;
        Sample<Attr> Row(string name, int b, int l, int e, int n, SampleInput? delta = null, bool d = true, bool z = true, bool bias = true, bool initial = true, double step = -1, Attr attr = default, SampleInput? a = null) =>
            new(name, attr, SampleInput.Normal(new Shape(b, l, e)), delta ?? SampleInput.Normal(new Shape(b, l, e), 1, step), a ?? SampleInput.Uniform(new Shape(e, n), 0, 2.5),
                SampleInput.Normal(new Shape(b, l, n)), SampleInput.Normal(new Shape(b, l, n)), d ? SampleInput.Normal(new Shape(e)) : none,
                z ? SampleInput.Normal(new Shape(b, l, e)) : none, bias ? SampleInput.Normal(new Shape(e)) : none, initial ? SampleInput.Normal(new Shape(b, e, n)) : none);

        // Models have 16 states, for which there are kernels of their own; three samples have other numbers.
        yield return Row("all", 2, 7, 5, 16);
        yield return Row("bare", 2, 6, 3, 5, d: false, z: false, bias: false, initial: false);
        yield return Row("no skip", 1, 4, 3, 16, d: false);
        yield return Row("no gate", 1, 4, 3, 16, z: false);
        yield return Row("no bias", 1, 4, 3, 16, bias: false);
        yield return Row("from rest", 1, 4, 3, 16, initial: false);
        yield return Row("one of each", 1, 1, 1, 1);
        yield return Row("several chunks", 2, 71, 3, 16, step: -3);
        yield return Row("several groups", 1, 3, 261, 16);
        yield return Row("many states", 1, 35, 2, 67, step: -3);
        // Softplus on both sides of its threshold, delta 0 or nearly, decays that underflow.
        yield return Row("edges of delta", 1, 11, 2, 16, SampleInput.Values(new Shape(1, 11, 2), 19.9, 20.1, -30, 0, 25, -90, -1000, 100, 3, -3, 1000, 1e4, -1e4, 20, -2), bias: false);
        yield return Row("edges of the gate", 1, 5, 3, 16) with { Inputs = [.. Row("", 1, 5, 3, 16).Inputs.Select((x, i) => i == Z ? SampleInput.Values(x.Shape, 0, 30, -30, 100, -100, 1000, -1000, -1.2784645) : x)] };
        yield return Row("A itself", 2, 6, 3, 16, attr: new(true), a: SampleInput.Values(new Shape(3, 16), -1, -0.001, 0, -16, -300, -1e6, -2));
        yield return Row("bench", 4, 1000, 1024, 16, step: -3, initial: false) with { Bench = true };
    }
}
