using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Residual sum and its layer norm: sum = h + residual, y = (sum - mean) rstd weight + bias; without residual the sum is h.</summary>
/// <remarks>h, residual, y, sum (..., D); weight, bias (D). Source: Ba et al. 2016.</remarks>
public sealed class AddLayerNorm : IOp<AddLayerNorm.Attr>
{
    /// <summary>Options.</summary>
    public readonly record struct Attr(double Eps);
    /// <inheritdoc/>
    public static string Name => "add_layer_norm";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("h"), new("residual", Optional: true), new("weight"), new("bias")], [new("y"), new("sum", Optional: true)]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs | Saves.Outputs;
    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var s = rule.In(0).Shape;
        rule.Exactly(1, s);
        rule.Exactly(2, new Shape(s.Last));
        rule.Exactly(3, new Shape(s.Last));
        rule.Out(0, s);
        if (rule.Has(1)) rule.Out(1, s);
    }
    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        int d = args.Shape(0).Last;
        R[] h = args.In(0), y = args.Out(0);
        for (int r = 0; r < h.Length / d; r++)
        {
            var x = new R[d];
            for (int i = 0; i < d; i++)
            {
                x[i] = args.Has(1) ? h[r * d + i] + args.In(1)[r * d + i] : h[r * d + i];
                if (args.HasOut(1)) args.Out(1)[r * d + i] = x[i];
            }
            R sum = R.From(0), squares = R.From(0);
            for (int i = 0; i < d; i++) sum += x[i];
            var mean = sum / R.From(d);
            for (int i = 0; i < d; i++) squares += (x[i] - mean) * (x[i] - mean);
            var rstd = R.From(1) / R.Sqrt(squares / R.From(d) + R.From(attr.Eps));
            for (int i = 0; i < d; i++) y[r * d + i] = (x[i] - mean) * rstd * args.In(2)[i] + args.In(3)[i];
        }
    }
    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int d = args.Inputs[0].Shape.Last;
        for (long r = 0; r < args.Inputs[0].Shape.Rows; r++)
        {
            T* x = args.Inputs[0].Pointer<T>() + r * d, y = args.Outputs[0].Pointer<T>() + r * d;
            if (!args.Inputs[1].IsNone)
            {
                T* s = args.Outputs[1].Pointer<T>() + r * d;
                for (int i = 0; i < d; i++) s[i] = x[i] + args.Inputs[1].Pointer<T>()[r * d + i];
                x = s;
            }
            var (mean, rstd) = Statistics(x, d, attr);
            for (int i = 0; i < d; i++) y[i] = (x[i] - mean) * rstd * args.Inputs[2].Pointer<T>()[i] + args.Inputs[3].Pointer<T>()[i];
        }
    }
    private static unsafe (T, T) Statistics<T>(T* x, int d, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T mean = T.Zero, v = T.Zero;
        for (int i = 0; i < d; i++) mean += x[i];
        mean /= T.CreateChecked(d);
        for (int i = 0; i < d; i++) v += (x[i] - mean) * (x[i] - mean);
        return (mean, T.One / T.Sqrt(v / T.CreateChecked(d) + T.CreateTruncating(attr.Eps)));
    }
    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int d = args.Inputs[0].Shape.Last;
        T* dw = args.InputGrads[2].IsNone ? null : args.InputGrads[2].Pointer<T>(), db = args.InputGrads[3].IsNone ? null : args.InputGrads[3].Pointer<T>();
        for (int i = 0; i < d; i++)
        {
            if (dw is not null) dw[i] = T.Zero;
            if (db is not null) db[i] = T.Zero;
        }
        T n = T.CreateChecked(d);
        T* x0 = args.Inputs[1].IsNone ? args.Inputs[0].Pointer<T>() : args.Outputs[1].Pointer<T>(), w = args.Inputs[2].Pointer<T>();
        for (long r = 0; r < args.Inputs[0].Shape.Rows; r++)
        {
            T* x = x0 + r * d, dy = args.OutputGrads[0].IsNone ? null : args.OutputGrads[0].Pointer<T>() + r * d;
            T* ds = args.OutputGrads[1].IsNone ? null : args.OutputGrads[1].Pointer<T>() + r * d;
            var (mean, rstd) = Statistics(x, d, attr);
            T a = T.Zero, b = T.Zero;
            for (int i = 0; dy is not null && i < d; i++)
            {
                T hat = (x[i] - mean) * rstd;
                a += dy[i] * w[i];
                b += dy[i] * w[i] * hat;
                if (dw is not null) dw[i] += dy[i] * hat;
                if (db is not null) db[i] += dy[i];
            }
            for (int k = 0; k < 2; k++)
            {
                if (args.InputGrads[k].IsNone) continue;
                T* dx = args.InputGrads[k].Pointer<T>() + r * d;
                for (int i = 0; i < d; i++)
                    dx[i] = (dy is null ? T.Zero : rstd * (dy[i] * w[i] - a / n - (x[i] - mean) * rstd * b / n)) + (ds is null ? T.Zero : ds[i]);
            }
        }
    }
    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr) => new(8 * rule.In(0).Shape.Count, rule.AllBytes(), 12 * rule.In(0).Shape.Count, 2 * rule.AllBytes());
    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("add", new(1e-5), SampleInput.Normal(new Shape(4, 7)), SampleInput.Normal(new Shape(4, 7)), SampleInput.Normal(new Shape(7)), SampleInput.Normal(new Shape(7)));
        yield return new("first", new(1e-5), SampleInput.Normal(new Shape(4, 7)), SampleInput.Absent, SampleInput.Normal(new Shape(7)), SampleInput.Normal(new Shape(7)));
    }
}
