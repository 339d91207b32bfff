using System.Numerics;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

/// <summary>Samples for an operator besides its own.</summary>
internal interface ISamples<TAttr> where TAttr : unmanaged
{
    static abstract IEnumerable<Sample<TAttr>> Samples();
}

/// <summary>An operator with other samples: what its kernels need tested but a CPU's do not, such as several blocks and real widths.</summary>
internal sealed class Resampled<TOp, TAttr, TSamples> : IOp<TAttr> where TOp : IOp<TAttr> where TAttr : unmanaged where TSamples : ISamples<TAttr>
{
    public static string Name => TOp.Name;
    public static OpSignature Signature => TOp.Signature;
    public static Saves Saves => TOp.Saves;
    public static void Infer(ref ShapeRule rule, in TAttr attr) => TOp.Infer(ref rule, attr);
    public static void Reference<R>(in RefArgs<R> args, in TAttr attr) where R : struct, IReal<R> => TOp.Reference(args, attr);
    public static void ForwardCpu<T>(in OpArgs args, in TAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => TOp.ForwardCpu<T>(args, attr);
    public static void BackwardCpu<T>(in GradArgs args, in TAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => TOp.BackwardCpu<T>(args, attr);
    public static void ForwardCuda(in OpArgs args, in TAttr attr) => TOp.ForwardCuda(args, attr);
    public static void BackwardCuda(in GradArgs args, in TAttr attr) => TOp.BackwardCuda(args, attr);
    public static OpCost Cost(in ShapeRule rule, in TAttr attr) => TOp.Cost(rule, attr);
    public static IEnumerable<Sample<TAttr>> Samples() => TSamples.Samples();
}
