using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Training came to a number that is not finite. The message names step, operator, layer and batch, and what is still there.</summary>
public sealed class DivergedException(string message) : Exception(message);

/// <summary>Finds where the first number that is not finite arose, by running the step again and looking at every result.</summary>
internal sealed class NonFinite(Module model, PretrainStep step)
{
    private readonly Dictionary<Parameter, string> _names = model.NamedParameters().ToDictionary(p => p.Value, p => p.Key);
    private string? _last;

    /// <summary>Thrown at the first such number.</summary>
    internal sealed class FoundException(string where) : Exception(where);

    /// <summary>For <see cref="Tape.Inspect"/>.</summary>
    internal void Look(TapeEvent e)
    {
        if (e.Parameter is not null && _names.TryGetValue(e.Parameter, out string? name)) _last = name;
        if (e.Value.DType is not (DType.F32 or DType.F64 or DType.BF16)) return;
        long at = First(e.Value);
        if (at < 0) return;
        string layer = e.Parameter is not null ? $" with {_last}" : _last is null ? "" : $" after the operator with {_last}";
        throw new FoundException($"{(e.Backward ? "a gradient of" : "the result of")} {e.Op}{layer} holds {Word(e.Value, at)} at {Place(e.Value, at)}");
    }

    /// <summary>The name of a parameter that holds one, or null.</summary>
    internal string? Parameter() => _names.Where(p => p.Key.Value.DType != DType.I64 && First(p.Key.Value) >= 0).Select(p => p.Value).FirstOrDefault();

    private static long First(Tensor value)
    {
        if (value.DType == DType.BF16) return Array.FindIndex(value.ToArray<BFloat16>(), v => !float.IsFinite((float)v));
        return value.DType == DType.F64 ? Array.FindIndex(value.ToArray<double>(), v => !double.IsFinite(v)) : Array.FindIndex(value.ToArray<float>(), v => !float.IsFinite(v));
    }

    private static string Word(Tensor value, long at)
    {
        double v = value.DType == DType.BF16 ? (float)value.ToArray<BFloat16>()[at] : value.ToDoubles()[at];
        return double.IsNaN(v) ? "NaN" : v > 0 ? "infinity" : "minus infinity";
    }

    private string Place(Tensor value, long at)
    {
        var index = new long[Math.Max(1, value.Shape.Rank)];
        for (int axis = value.Shape.Rank - 1; axis >= 0; axis--)
        {
            index[axis] = at % value.Shape[axis];
            at /= value.Shape[axis];
        }
        string place = $"({string.Join(", ", index)}) of {value.Shape}";
        if (step.InWork is not { } work || value.Shape.Rank < 2 || value.Shape[0] != work.Rows.Length) return place;
        int row = work.Rows[index[0]];
        return $"{place}, pair {row % work.Pairs}, view {row / work.Pairs}";
    }
}
