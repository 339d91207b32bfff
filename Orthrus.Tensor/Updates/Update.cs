namespace Orthrus.Tensor;

/// <summary>Runs state updates: checks the lists, allocates results, dispatches by dtype. No managed allocation.</summary>
public static class Update
{
    /// <summary>Runs an update.</summary>
    /// <param name="scope">Owner of the results.</param>
    /// <param name="tensors">All tensors of the first list, then all of the second, and so on; F32 or F64, all of one dtype and device.</param>
    /// <param name="attr">Options.</param>
    /// <param name="results">Receives the scalar results; as long as the signature's.</param>
    /// <exception cref="ShapeException">Lists of different length, or tensors that do not fit.</exception>
    /// <exception cref="DeviceException">A tensor lives on another device.</exception>
    public static void Run<TUpdate, TAttr>(Scope scope, ReadOnlySpan<Tensor> tensors, in TAttr attr, Span<Tensor> results)
        where TUpdate : IStateUpdate<TAttr> where TAttr : unmanaged
    {
        var signature = TUpdate.Signature;
        int lists = signature.Lists.Length;
        if (tensors.Length == 0 || tensors.Length % lists != 0)
            throw new ShapeException($"{TUpdate.Name}: {tensors.Length} tensors; want {lists} lists of the same length");
        if (results.Length != signature.Results.Length)
            throw new ShapeException($"{TUpdate.Name}: room for {results.Length} results; it has {signature.Results.Length}");
        int count = tensors.Length / lists;
        DType dtype = tensors[0].DType;
        for (int i = 0; i < tensors.Length; i++)
        {
            ref readonly var t = ref tensors[i];
            if (t.DType != dtype || dtype is not (DType.F32 or DType.F64))
                throw new ShapeException($"{TUpdate.Name}: {signature.Lists[i / count].Name}[{i % count}] is {t.DType}; want F32 or F64, the same for all");
            if (t.Shape != tensors[i % count].Shape)
                throw new ShapeException($"{TUpdate.Name}: {signature.Lists[i / count].Name}[{i % count}] has shape {t.Shape}; want {tensors[i % count].Shape} as {signature.Lists[0].Name}[{i % count}]");
            if (t.Device != scope.Device)
                throw new DeviceException($"{TUpdate.Name}: {signature.Lists[i / count].Name}[{i % count}] lives on {t.Device.Name}, the call runs on {scope.Device.Name}");
        }
        for (int i = 0; i < results.Length; i++) results[i] = scope.Empty(Shape.Scalar, dtype);
        using var scratch = scope.Device.OpenScope();
        var args = new UpdateArgs(tensors, lists, results, scratch);
        if (scope.Device.Kind == DeviceKind.Cuda)
        {
            if (dtype == DType.F64) throw new DeviceException($"{TUpdate.Name}: {scope.Device.Name} computes in F32; F64 is for --device cpu");
            TUpdate.RunCuda(args, attr);
        }
        else if (dtype == DType.F32) TUpdate.RunCpu<float>(args, attr);
        else TUpdate.RunCpu<double>(args, attr);
    }
}
