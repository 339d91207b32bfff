using System.Numerics;
using Orthrus.Autograd;
using Orthrus.Tensor;

// 1. The check that the engine's own operators pass, for this one.
var results = GradCheck.Run(OpRow.Of<CustomOp.Swish, NoAttr>());
GradCheckReport.Write(Console.Out, results);

// 2. The operator in use: loss = sum(swish(x, beta)), its gradient with respect to beta.
using var device = new CpuDevice();
using var scope = device.OpenScope();
using var tape = new Tape(device);
var x = tape.Input(scope.From<float>([-1, 0, 1, 2, 3, 4], new Shape(2, 3)));
var beta = tape.Input(scope.From<float>([0.5f, 1, 2], new Shape(3)));
var y = tape.Apply<CustomOp.Swish, NoAttr>([x, beta]);
tape.Backward([y], [scope.From<float>([1, 1, 1, 1, 1, 1], new Shape(2, 3))]);
Console.WriteLine($"y         {string.Join("  ", y.Value.ToArray<float>().Select(v => v.ToString("F4")))}");
Console.WriteLine($"d/d beta  {string.Join("  ", tape.Grad(beta).ToArray<float>().Select(v => v.ToString("F4")))}");
return results.All(r => r.Passed) ? 0 : 1;

namespace CustomOp
{
    /// <summary>y[r, c] = x[r, c] sigmoid(beta[c] x[r, c]): SiLU with a slope per channel (Ramachandran, Zoph and Le 2017).</summary>
    public sealed class Swish : IOp<NoAttr>
    {
        public static string Name => "swish";
        public static OpSignature Signature { get; } = new([new("x"), new("beta")], [new("y")]);
        public static Saves Saves => Saves.Inputs;

        public static void Infer(ref ShapeRule rule, in NoAttr attr)
        {
            rule.Exactly(1, new Shape(rule.Rank(0, 2)[1]));
            rule.Out(0, rule.In(0).Shape);
        }

        // The specification. Value, exact derivative and error bound all come from these lines.
        public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
        {
            R[] x = args.In(0), beta = args.In(1), y = args.Out(0);
            for (int i = 0; i < x.Length; i++) y[i] = x[i] * Real.Sigmoid(beta[i % beta.Length] * x[i]);
        }

        public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            T* x = args.Inputs[0].Pointer<T>(), beta = args.Inputs[1].Pointer<T>(), y = args.Outputs[0].Pointer<T>();
            long n = args.Inputs[0].Count, c = args.Inputs[1].Count;
            for (long i = 0; i < n; i++) y[i] = x[i] / (T.One + T.Exp(-beta[i % c] * x[i]));
        }

        public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            T* x = args.Inputs[0].Pointer<T>(), beta = args.Inputs[1].Pointer<T>(), dy = args.OutputGrads[0].Pointer<T>();
            // Either gradient may be unwanted; what is wanted is overwritten.
            T* dx = args.InputGrads[0].IsNone ? null : args.InputGrads[0].Pointer<T>();
            T* db = args.InputGrads[1].IsNone ? null : args.InputGrads[1].Pointer<T>();
            long n = args.Inputs[0].Count, c = args.Inputs[1].Count;
            for (long j = 0; j < c && db is not null; j++) db[j] = T.Zero;
            for (long i = 0; i < n; i++)
            {
                // 1 - s as sigmoid(-beta x): the difference would cancel where s is near 1, and the check sees it.
                T bx = beta[i % c] * x[i], s = T.One / (T.One + T.Exp(-bx)), slope = x[i] * s / (T.One + T.Exp(bx));
                if (dx is not null) dx[i] = dy[i] * (s + beta[i % c] * slope);
                if (db is not null) db[i % c] += dy[i] * x[i] * slope;
            }
        }

        public static OpCost Cost(in ShapeRule rule, in NoAttr attr) =>
            new(5 * rule.In(0).Shape.Count, rule.AllBytes(), 12 * rule.In(0).Shape.Count, 2 * rule.AllBytes());

        public static IEnumerable<Sample<NoAttr>> Samples()
        {
            yield return new("small", default, SampleInput.Normal(new Shape(4, 5)), SampleInput.Normal(new Shape(5)));
            yield return new("steep", default, SampleInput.Normal(new Shape(3, 2), 3), SampleInput.Values(new Shape(2), -8, 8));
        }
    }
}
