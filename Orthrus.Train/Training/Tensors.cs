using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Numbers to and from tensors of either precision.</summary>
internal static class Tensors
{
    internal static Tensor Reals(this Scope scope, double[] values, Shape shape, DType dtype) =>
        dtype == DType.F64 ? scope.From<double>(values, shape) : scope.From<float>(Array.ConvertAll(values, v => (float)v), shape);

    internal static Tensor Scalar(this Scope scope, double value, DType dtype) => scope.Reals([value], Shape.Scalar, dtype);

    internal static double[] ToDoubles(this in Tensor t) => t.DType == DType.F64 ? t.ToArray<double>() : Array.ConvertAll(t.ToArray<float>(), v => (double)v);

    /// <summary>Overwrites a tensor with another of the same shape, type and device.</summary>
    internal static void Assign(this in Tensor target, in Tensor source)
    {
        if (source.Shape != target.Shape || source.DType != target.DType) throw new ShapeException($"{target} cannot take {source}");
        if (source.Device != target.Device) throw new Orthrus.Tensor.DeviceException($"a tensor of {target.Device.Name} cannot take one of {source.Device.Name}");
        target.Device.Copy(target.Address, source.Address, source.Bytes);
    }
}
