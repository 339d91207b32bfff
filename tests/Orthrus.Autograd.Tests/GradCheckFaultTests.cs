using System.Globalization;
using System.Numerics;
using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

/// <summary>The check itself: operators that are wrong in a known way must not pass, the right one must.</summary>
public class GradCheckFaultTests
{
    [Theory]
    [InlineData(Fault.None, null)]
    [InlineData(Fault.ForwardSign, "specification")]
    [InlineData(Fault.ForwardLastElement, "specification")]
    [InlineData(Fault.ForwardUnwritten, "specification")]
    [InlineData(Fault.ForwardSinglePrecision, "F64")]
    [InlineData(Fault.ForwardPastEnd, "behind")]
    [InlineData(Fault.ForwardReadsPastEnd, "specification")]
    [InlineData(Fault.ForwardWritesOperand, "operand")]
    [InlineData(Fault.ForwardThreads, "threads")]
    [InlineData(Fault.ForwardLeak, "in use")]
    [InlineData(Fault.ForwardAllocates, "managed")]
    [InlineData(Fault.ForwardThrows, "InvalidOperationException")]
    [InlineData(Fault.BackwardSign, "gradient of a")]
    [InlineData(Fault.BackwardMissingTerm, "gradient of a")]
    [InlineData(Fault.BackwardWrongIndex, "gradient of b")]
    [InlineData(Fault.BackwardIgnoresOperand, "gradient of a")]
    [InlineData(Fault.BackwardAccumulates, "gradient of a")]
    [InlineData(Fault.BackwardOffByOne, "gradient of b")]
    [InlineData(Fault.BackwardWritesBeside, "beside")]
    [InlineData(Fault.BackwardSmallError, "gradient of b")]
    [InlineData(Fault.BackwardNeedsOther, "alone")]
    [InlineData(Fault.BackwardNeedsGradient, "NullReference", "LifetimeException")]
    public void Known_faults_are_found(Fault fault, string? message, string? other = null)
    {
        Toy.Current = fault;
        var results = GradCheck.Run(OpRow.Of<Toy, NoAttr>());
        var problems = results.SelectMany(r => r.Problems).ToArray();
        if (message is null) Assert.Empty(problems);
        else Assert.Contains(problems, p => p.Contains(message) || (other is not null && p.Contains(other)));
    }

    [Fact]
    public void A_leak_is_reported_with_operator_and_sample()
    {
        Toy.Current = Fault.ForwardLeak;
        var text = new StringWriter();
        GradCheckReport.Write(text, GradCheck.Run(OpRow.Of<Toy, NoAttr>(), new() { Sample = "larger" }));
        Assert.Contains("toy larger: F32: 1 blocks stay in use", text.ToString());
        Assert.Contains("FAIL", text.ToString());
    }

    [Fact]
    public void The_report_has_a_column_for_everything_that_was_compared()
    {
        Toy.Current = Fault.BackwardSign;
        var text = new StringWriter();
        GradCheckReport.Write(text, GradCheck.Run(OpRow.Of<Toy, NoAttr>(), new() { Sample = "small" }));
        string[] lines = text.ToString().ReplaceLineEndings("\n").Split('\n');
        Assert.Equal(["op", "sample", "type", "forward", "error", "bound", "gradient", "error", "bound", "verdict"], lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        foreach (string dtype in new[] { "F32", "F64" })
        {
            string[] row = Assert.Single(lines, l => l.StartsWith("toy", StringComparison.Ordinal) && l.Contains(dtype)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal(["toy", "small", dtype], row[..3]);
            double[] numbers = [.. row[3..7].Select(n => double.Parse(n, CultureInfo.InvariantCulture))];
            Assert.True(numbers[0] <= numbers[1] && numbers[2] > numbers[3], string.Join(' ', row));
            Assert.Equal("FAIL", row[7]);
        }
    }

    public enum Fault
    {
        None, ForwardSign, ForwardLastElement, ForwardUnwritten, ForwardSinglePrecision, ForwardPastEnd, ForwardReadsPastEnd, ForwardWritesOperand,
        ForwardThreads, ForwardLeak, ForwardAllocates, ForwardThrows, BackwardSign, BackwardMissingTerm, BackwardWrongIndex, BackwardIgnoresOperand,
        BackwardAccumulates, BackwardOffByOne, BackwardWritesBeside, BackwardSmallError, BackwardNeedsOther, BackwardNeedsGradient,
    }

    /// <summary>y = a b + a^2, s = sum a; with a fault on request.</summary>
    private sealed class Toy : IOp<NoAttr>
    {
        [ThreadStatic] internal static Fault Current;
        private static int s_sink;

        public static string Name => "toy";
        public static OpSignature Signature { get; } = new([new("a"), new("b")], [new("y"), new("s")]);
        public static Saves Saves => Saves.Inputs;

        public static void Infer(ref ShapeRule rule, in NoAttr attr)
        {
            rule.Exactly(1, rule.In(0).Shape);
            rule.Out(0, rule.In(0).Shape);
            rule.Out(1, Shape.Scalar);
        }

        public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
        {
            R[] a = args.In(0), b = args.In(1), y = args.Out(0), s = args.Out(1);
            for (int i = 0; i < a.Length; i++)
            {
                y[i] = a[i] * b[i] + a[i] * a[i];
                s[0] += a[i];
            }
        }

        public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            if (Current == Fault.ForwardThrows) throw new InvalidOperationException("as asked");
            T* a = args.Inputs[0].Pointer<T>(), b = args.Inputs[1].Pointer<T>(), y = args.Outputs[0].Pointer<T>();
            long n = args.Inputs[0].Count;
            T s = T.Zero;
            for (long i = 0; i < n; i++)
            {
                y[i] = a[i] * b[i] + (Current == Fault.ForwardSign ? -a[i] : a[i]) * a[i];
                if (Current == Fault.ForwardSinglePrecision) y[i] = T.CreateChecked(float.CreateTruncating(y[i]));
                s += a[i];
            }
            if (Current == Fault.ForwardLastElement) y[n - 1] += T.CreateChecked(1e-3);
            if (Current == Fault.ForwardPastEnd) y[n] = T.One;
            if (Current == Fault.ForwardReadsPastEnd) y[n - 1] += a[n] * T.Zero;
            if (Current == Fault.ForwardWritesOperand) a[0] = b[0];
            if (Current == Fault.ForwardThreads && args.Workers.Threads == 3) s = T.BitIncrement(s);
            if (Current == Fault.ForwardLeak) args.Scratch.Device.OpenScope().Empty(new Shape(3), DType.F32);
            if (Current == Fault.ForwardAllocates) s_sink += new byte[17].Length;
            if (Current != Fault.ForwardUnwritten) *args.Outputs[1].Pointer<T>() = s;
        }

        public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            T* a = args.Inputs[0].Pointer<T>(), b = args.Inputs[1].Pointer<T>();
            T* dy = args.OutputGrads[0].IsNone && Current != Fault.BackwardNeedsGradient ? null : args.OutputGrads[0].Pointer<T>();
            T ds = args.OutputGrads[1].IsNone ? T.Zero : *args.OutputGrads[1].Pointer<T>();
            T two = T.CreateChecked(2);
            long n = args.Inputs[0].Count;
            if (!args.InputGrads[0].IsNone)
            {
                T* da = args.InputGrads[0].Pointer<T>();
                bool wrong = Current == Fault.BackwardNeedsOther && args.InputGrads[1].IsNone;
                for (long i = 0; i < n; i++)
                {
                    T d = dy is null ? T.Zero : dy[i];
                    T slope = Current == Fault.BackwardIgnoresOperand ? two * a[i] : b[i] + two * a[i];
                    if (Current == Fault.BackwardSign) slope = b[i] - two * a[i];
                    T g = d * slope + (Current == Fault.BackwardMissingTerm || wrong ? T.Zero : ds);
                    da[i] = Current == Fault.BackwardAccumulates ? da[i] + g : g;
                }
                if (Current == Fault.BackwardWritesBeside) da[-1] = T.Zero;
            }
            if (args.InputGrads[1].IsNone) return;
            T* db = args.InputGrads[1].Pointer<T>();
            for (long i = 0; i < n; i++)
            {
                T d = dy is null ? T.Zero : dy[i];
                db[i] = d * a[Current == Fault.BackwardWrongIndex ? n - 1 - i : i];
                if (Current == Fault.BackwardSmallError) db[i] *= T.CreateChecked(1 + 1e-8);
            }
            if (Current == Fault.BackwardOffByOne) db[n - 1] = T.Zero;
        }

        public static void ForwardCuda(in OpArgs args, in NoAttr attr) => throw CudaKernel.Missing(Name, args.Scratch);
        public static void BackwardCuda(in GradArgs args, in NoAttr attr) => throw CudaKernel.Missing(Name, args.Scratch);
        public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => new(4 * rule.In(0).Shape.Count, rule.AllBytes(), 6 * rule.In(0).Shape.Count, 2 * rule.AllBytes());

        public static IEnumerable<Sample<NoAttr>> Samples()
        {
            yield return new("small", default, SampleInput.Normal(new Shape(3, 5)), SampleInput.Normal(new Shape(3, 5)));
            yield return new("larger", default, SampleInput.Normal(new Shape(3, 77)), SampleInput.Normal(new Shape(3, 77)));
        }
    }
}
