using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

public sealed partial class BatchNorm
{
    private static readonly CudaKernel
        MomentsKernel = new("batch_norm", "batch_norm_moments"), StatisticsKernel = new("batch_norm", "batch_norm_statistics"),
        ApplyKernel = new("batch_norm", "batch_norm_apply"), ResidentKernel = new("batch_norm", "batch_norm_resident"),
        GradientSumsKernel = new("batch_norm", "batch_norm_gradient_sums"), GradientTotalsKernel = new("batch_norm", "batch_norm_gradient_totals"),
        GradientApplyKernel = new("batch_norm", "batch_norm_gradient_apply"), GradientResidentKernel = new("batch_norm", "batch_norm_gradient_resident");

    private const int Threads = 256;
    // Resident kernels: channels and threads of a block, and what they need of shared memory besides the tile.
    private const int ResidentChannels = 8, ResidentThreads = 512, ResidentRoom = 1024;
    // Rows of a block that only normalises.
    private const int ApplyRows = 64;

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint X, Dy, Weight, Bias, RunningMean, RunningVar, Lengths;
        internal nint Y, NewMean, NewVar, Mean, Scale, Dx, DWeight, DBias, Partial;
        internal int Rows, C, L, LengthBytes, Tile, Tiles, InFours;
        internal float Eps, Momentum, Keep;

        /// <summary>Blocks along the rows and the channels, with tiles of so many rows.</summary>
        internal CudaGrid Tiled(int rows)
        {
            Tile = rows;
            Tiles = CudaGrid.Cover(Rows, rows);
            return new(Tiles, ChannelBlocks);
        }

        /// <summary>Blocks of a kernel whose lanes go along the channels.</summary>
        internal readonly int ChannelBlocks => CudaGrid.Cover(C, InFours != 0 ? 128 : 32);

        /// <summary>Rows of a tile that gives partial statistics: about a thousand blocks, and partial sums that cost little beside what they sum. By shape alone, for the order of sums.</summary>
        internal readonly int TileRows => (int)Math.Clamp(((long)Rows * ChannelBlocks / 1024 + 31) / 32 * 32, 128, 512);
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        var device = args.Cuda;
        var a = Common(args.Inputs, args.Outputs, attr, args.Inputs[X].Address | args.Outputs[Y].Address);
        a.Bias = args.Inputs[Bias].Address;
        a.Y = args.Outputs[Y].Address;
        if (a.Rows == 0 || a.C == 0) return;
        if (attr.Training)
        {
            (a.NewMean, a.NewVar) = (args.Outputs[NewMean].AddressOrZero, args.Outputs[NewVar].AddressOrZero);
            if (Fits(device, a.Rows, 1))
            {
                device.Launch(ResidentKernel, DType.F32, CudaGrid.Cover(a.C, ResidentChannels), ResidentThreads, ResidentBytes(a.Rows, 1), a);
                return;
            }
            var tiles = a.Tiled(a.TileRows);
            a.Partial = args.Scratch.Empty(new Shape(checked((2 * a.C + 1) * a.Tiles)), DType.F32).Address;
            device.Launch(MomentsKernel, DType.F32, tiles, Threads, 0, a);
            device.Launch(StatisticsKernel, DType.F32, CudaGrid.Cover(a.C, 32), Threads, 0, a);
        }
        device.Launch(ApplyKernel, DType.F32, a.Tiled(ApplyRows), Threads, 0, a);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        var device = args.Cuda;
        Tensor dy = args.OutputGrads[Y], dx = args.InputGrads[X], dweight = args.InputGrads[Weight], dbias = args.InputGrads[Bias];
        if (dx.IsNone && dweight.IsNone && dbias.IsNone) return;
        var a = Common(args.Inputs, args.Outputs, attr, args.Inputs[X].Address | dy.Address | dx.AddressOrZero);
        (a.Dy, a.Dx, a.DWeight, a.DBias) = (dy.Address, dx.AddressOrZero, dweight.AddressOrZero, dbias.AddressOrZero);
        if (a.C == 0) return;
        if (attr.Training && Fits(device, a.Rows, 2))
        {
            device.Launch(GradientResidentKernel, DType.F32, CudaGrid.Cover(a.C, ResidentChannels), ResidentThreads, ResidentBytes(a.Rows, 2), a);
            return;
        }
        var tiles = a.Tiled(a.TileRows);
        // In evaluation dx alone needs no sums.
        bool sums = attr.Training || !dweight.IsNone || !dbias.IsNone;
        if (sums) a.Partial = args.Scratch.Empty(new Shape(checked(2 * a.C * (a.Tiles + 1))), DType.F32).Address;
        device.Launch(GradientSumsKernel, DType.F32, tiles, Threads, 0, a);
        if (sums) device.Launch(GradientTotalsKernel, DType.F32, new CudaGrid(CudaGrid.Cover(a.C, 32), 2), Threads, 0, a);
        if (!attr.Training || dx.IsNone) return;
        // The totals lie behind the tiles of the sums.
        a.Partial += (nint)(2L * a.Tiles * a.C * sizeof(float));
        device.Launch(GradientApplyKernel, DType.F32, a.Tiled(ApplyRows), Threads, 0, a);
    }

    private static CudaArgs Common(ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs, in Attr attr, nint addresses)
    {
        var s = inputs[X].Shape;
        var a = new CudaArgs
        {
            X = inputs[X].Address, Weight = inputs[Weight].Address, RunningMean = inputs[RunningMean].AddressOrZero, RunningVar = inputs[RunningVar].AddressOrZero,
            Rows = checked((int)s.Rows), C = s.Last, L = s.Rank == 3 ? s[1] : 1,
            Eps = (float)attr.Eps, Momentum = (float)attr.Momentum, Keep = (float)(1 - attr.Momentum),
        };
        a.InFours = a.C % 4 == 0 && CudaElements.Fours(DType.F32, addresses) ? 1 : 0;
        if (!attr.Training) return a;
        (a.Mean, a.Scale) = (outputs[SavedMean].Address, outputs[SavedScale].Address);
        if (!inputs[Lengths].IsNone) (a.Lengths, a.LengthBytes) = (inputs[Lengths].Address, inputs[Lengths].DType.Size());
        return a;
    }

    private static int ResidentBytes(int rows, int tiles) => rows * ResidentChannels * tiles * sizeof(float);

    private static bool Fits(CudaDevice device, int rows, int tiles) => (long)rows * ResidentChannels * tiles * sizeof(float) + ResidentRoom <= device.SharedPerBlock;
}
