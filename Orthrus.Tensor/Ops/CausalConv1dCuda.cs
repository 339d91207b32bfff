using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/causal_conv1d.cu.</summary>
internal static class CausalConv1dCuda
{
    /// <summary>Kernels for one number of taps, four channels per thread or one.</summary>
    private sealed class Fixed(int taps, bool byFours)
    {
        internal CudaKernel Forward { get; } = new("causal_conv1d", $"conv_forward_{taps}{(byFours ? "" : "_single")}");
        internal CudaKernel Backward { get; } = new("causal_conv1d", $"conv_backward_{taps}{(byFours ? "" : "_single")}");
    }

    private const int LeastTaps = 2, ForwardWarps = 4, BackwardWarps = 8, WarpsPerMultiprocessor = 16, Threads = 256, RowsPerPart = 256;
    // Positions of a warp in backward: their number decides the order of sums, so that it follows the shape alone.
    private const int FewRows = 16, ManyRows = 64;
    private const long ManyPositions = 8192;

    private static readonly Fixed[] ByFours = [new(2, true), new(3, true), new(4, true)], Single = [new(2, false), new(3, false), new(4, false)];
    private static readonly CudaKernel AnyForward = new("causal_conv1d", "conv_forward_any"), AnySlopes = new("causal_conv1d", "conv_slopes_any"),
        AnyInputs = new("causal_conv1d", "conv_inputs_any"), AnyParts = new("causal_conv1d", "conv_parts_any");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint X, Weight, Bias, Initial, Y, State;
        internal int Batch, Length, Channels, Taps, Linear, Rows, Blocks;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct GradientArgs
    {
        internal Args Call;
        internal nint Dy, DState, Dx, DInitial, Parts, Slopes;
    }

    internal static void Forward(in OpArgs args, in CausalConv1d.Attr attr)
    {
        var a = Of(args.Inputs, attr);
        Tensor y = args.Outputs[CausalConv1d.Y], state = args.Outputs[CausalConv1d.State];
        (a.Y, a.State) = (y.Address, state.Address);
        if (a.Taps < LeastTaps || a.Taps - LeastTaps >= ByFours.Length)
        {
            args.Cuda.Launch(AnyForward, args.DType, CudaGrid.Cover(a.Batch * (a.Length + a.Taps - 1L) * a.Channels, Threads), Threads, 0, a);
            return;
        }
        bool byFours = CudaOperand.ByFours(a.Channels, args.Inputs[CausalConv1d.X], args.Inputs[CausalConv1d.Weight], args.Inputs[CausalConv1d.Bias], args.Inputs[CausalConv1d.Initial], y, state);
        int groups = Groups(a.Channels, byFours);
        // Positions do not depend on the cut, so that it may follow the device.
        for (a.Rows = ManyRows; a.Rows > FewRows && (long)a.Batch * groups * (a.Length / a.Rows + 1) < args.Cuda.Multiprocessors * WarpsPerMultiprocessor; a.Rows /= 2) { }
        a.Blocks = Blocks(a.Length, a.Rows * ForwardWarps);
        args.Cuda.Launch((byFours ? ByFours : Single)[a.Taps - LeastTaps].Forward, args.DType, checked(a.Batch * a.Blocks * groups), 32 * ForwardWarps, 0, a);
    }

    internal static void Backward(in GradArgs args, in CausalConv1d.Attr attr)
    {
        Tensor dy = args.OutputGrads[CausalConv1d.Y], dState = args.OutputGrads[CausalConv1d.State], dx = args.InputGrads[CausalConv1d.X], dInitial = args.InputGrads[CausalConv1d.Initial];
        Tensor dWeight = args.InputGrads[CausalConv1d.Weight], dBias = args.InputGrads[CausalConv1d.Bias], parts = Tensor.None;
        var a = new GradientArgs
        {
            Call = Of(args.Inputs, attr), Dy = CudaOperand.AddressOrNull(dy), DState = CudaOperand.AddressOrNull(dState), Dx = CudaOperand.AddressOrNull(dx), DInitial = CudaOperand.AddressOrNull(dInitial),
        };
        ref var call = ref a.Call;
        bool any = call.Taps < LeastTaps || call.Taps - LeastTaps >= ByFours.Length;
        call.Rows = any ? RowsPerPart : (long)call.Batch * call.Length >= ManyPositions ? ManyRows : FewRows;
        call.Blocks = Blocks(call.Length, any ? call.Rows : call.Rows * BackwardWarps);
        if (!dWeight.IsNone || !dBias.IsNone)
        {
            parts = args.Scratch.Empty(new Shape(checked(call.Batch * call.Blocks), call.Taps + 1, call.Channels), DType.F32);
            a.Parts = parts.Address;
        }
        if (any) AnyTaps(args, ref a);
        else
        {
            bool byFours = CudaOperand.ByFours(call.Channels, args.Inputs[CausalConv1d.X], args.Inputs[CausalConv1d.Weight], args.Inputs[CausalConv1d.Bias], args.Inputs[CausalConv1d.Initial], dy, dState, dx, dInitial);
            args.Cuda.Launch((byFours ? ByFours : Single)[call.Taps - LeastTaps].Backward, args.DType, checked(call.Batch * call.Blocks * Groups(call.Channels, byFours)), 32 * BackwardWarps, 0, a);
        }
        if (!parts.IsNone) ParameterTotals.Launch(args, parts, dWeight, dBias);
    }

    private static void AnyTaps(in GradArgs args, ref GradientArgs a)
    {
        ref var call = ref a.Call;
        if (a.Dy != 0)
        {
            var slopes = args.Scratch.Empty(new Shape(call.Batch, call.Length, call.Channels), DType.F32);
            a.Slopes = slopes.Address;
            args.Cuda.Launch(AnySlopes, args.DType, CudaGrid.Cover(slopes.Count, Threads), Threads, 0, a);
        }
        args.Cuda.Launch(AnyInputs, args.DType, CudaGrid.Cover(call.Batch * (call.Length + call.Taps - 1L) * call.Channels, Threads), Threads, 0, a);
        if (a.Parts != 0) args.Cuda.Launch(AnyParts, args.DType, CudaGrid.Cover((long)call.Batch * call.Blocks * (call.Taps + 1) * call.Channels, Threads), Threads, 0, a);
    }

    private static Args Of(ReadOnlySpan<Tensor> inputs, in CausalConv1d.Attr attr)
    {
        var s = inputs[CausalConv1d.X].Shape;
        return new()
        {
            X = inputs[CausalConv1d.X].Address, Weight = inputs[CausalConv1d.Weight].Address, Bias = CudaOperand.AddressOrNull(inputs[CausalConv1d.Bias]),
            Initial = CudaOperand.AddressOrNull(inputs[CausalConv1d.Initial]), Batch = s[0], Length = s[1], Channels = s[2], Taps = inputs[CausalConv1d.Weight].Shape[1], Linear = attr.Linear ? 1 : 0,
        };
    }

    // A sequence without positions has one block: its state still moves.
    private static int Blocks(int length, int rows) => Math.Max(1, (length + rows - 1) / rows);

    private static int Groups(int channels, bool byFours) => (channels + (byFours ? 128 : 32) - 1) / (byFours ? 128 : 32);
}
