using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>
/// A change of state in place: optimiser steps, gradient clipping. It works on lists of tensors (parameter k, its gradient, its moments) in one
/// call and has no backward. One file holds everything, as for <see cref="IOp{TAttr}"/>.
/// </summary>
/// <typeparam name="TAttr">Options of the update: an unmanaged value.</typeparam>
public interface IStateUpdate<TAttr> where TAttr : unmanaged
{
    /// <summary>Name in tables and messages, snake_case.</summary>
    static abstract string Name { get; }

    /// <summary>Lists of tensors, in order, and scalar results.</summary>
    static abstract UpdateSignature Signature { get; }

    /// <summary>The specification: plain loops over an abstract real number, changing the lists in place.</summary>
    static abstract void Reference<R>(in UpdateRefArgs<R> args, in TAttr attr) where R : struct, IReal<R>;

    /// <summary>CPU kernel. T is float or double.</summary>
    static abstract void RunCpu<T>(in UpdateArgs args, in TAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>;

    /// <summary>CUDA kernel, launched on the device's stream; everything is F32.</summary>
    static abstract void RunCuda(in UpdateArgs args, in TAttr attr);

    /// <summary>Work of one call on so many elements per list; the members for backward are 0.</summary>
    static abstract OpCost Cost(long elements, DType dtype, in TAttr attr);

    /// <summary>Rows that tests, checks and benchmarks share.</summary>
    static abstract IEnumerable<UpdateSample<TAttr>> Samples();
}

/// <summary>A list of tensors that an update takes.</summary>
/// <param name="Name">What the list holds.</param>
/// <param name="Written">The update changes it; other lists are only read.</param>
public readonly record struct UpdateList(string Name, bool Written);

/// <summary>Lists and results of an update, in order.</summary>
/// <param name="Lists">Lists of tensors; tensor k has the same shape in all of them.</param>
/// <param name="Results">Names of the scalar results.</param>
public sealed record UpdateSignature(UpdateList[] Lists, string[] Results);

/// <summary>Operands of an update's kernel.</summary>
public readonly ref struct UpdateArgs
{
    private readonly ReadOnlySpan<Tensor> _tensors;

    internal UpdateArgs(ReadOnlySpan<Tensor> tensors, int lists, ReadOnlySpan<Tensor> results, Scope scratch)
    {
        _tensors = tensors;
        Lists = lists;
        Results = results;
        Scratch = scratch;
    }

    /// <summary>Number of lists.</summary>
    public int Lists { get; }
    /// <summary>Tensors in each list.</summary>
    public int Count => _tensors.Length / Lists;
    /// <summary>Tensor <paramref name="k"/> of list <paramref name="list"/>.</summary>
    public Tensor At(int list, int k) => _tensors[list * Count + k];
    /// <summary>Scalar results, contents undefined on entry.</summary>
    public ReadOnlySpan<Tensor> Results { get; }
    /// <summary>Scope for temporary memory; it ends with the call.</summary>
    public Scope Scratch { get; }
    /// <summary>The CUDA device, for CUDA kernels.</summary>
    public CudaDevice Cuda => (CudaDevice)Scratch.Device;
    /// <summary>Threads of the device.</summary>
    public WorkerPool Workers => ((CpuDevice)Scratch.Device).Workers;
    /// <summary>Vector width of the device in bits, for <see cref="Cpu.SimdDispatch"/>.</summary>
    public int VectorWidth => ((CpuDevice)Scratch.Device).VectorWidth;
}

/// <summary>Operands of an update's specification: lists of flat arrays, changed in place.</summary>
public readonly ref struct UpdateRefArgs<R> where R : struct, IReal<R>
{
    private readonly R[][][] _lists;

    internal UpdateRefArgs(R[][][] lists, R[] results)
    {
        _lists = lists;
        Results = results;
    }

    /// <summary>The tensors of list <paramref name="i"/>.</summary>
    public R[][] List(int i) => _lists[i];
    /// <summary>Scalar results, to be filled; initially zeros.</summary>
    public R[] Results { get; }
}
