using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Kernels of the losses at shapes that the operators' samples leave out: several tiles, blocks and splits, odd edges, ties, numbers that are not finite.</summary>
public sealed class LossTests
{
    private static readonly SampleInput None = SampleInput.Absent;

    private static SampleInput Unit(int n, int d) => SampleInput.Normal(new Shape(n, d), 1 / Math.Sqrt(d));

    // Two classes of width: multiples of four take quads, others not; above 128 the gradient goes through memory.
    private static readonly (OpRow Op, SampleRow[] Samples)[] Cases =
    [
        Of<SimilarityLogSumExp, SimilarityLogSumExp.Attr>(
            new("one anchor, width 1", new(0.5, 1), Unit(1, 1), Unit(2, 1)),
            new("rows and columns beyond tiles", new(0.3, 130), Unit(65, 20), Unit(259, 20)),
            new("keys of one tile and a half", new(0.4, 0), Unit(66, 17), Unit(192, 17)),
            new("three chunks of width", new(0.2), Unit(67, 260), None),
            new("two chunks, no quads", new(0.2, 3), Unit(5, 129), Unit(8, 129)),
            new("far from zero", new(0.02), SampleInput.Normal(new Shape(7, 4), 0.1, 1), None)),
        Of<Dcl, Dcl.Attr>(
            new("several tiles, joint", new(0.2, Dcl.Form.Joint), Unit(131, 12), Unit(131, 12), None, None, SampleInput.Uniform(new Shape(131), 0, 1)),
            new("gathered keys of several tiles", new(0.2, Dcl.Form.SumOfLogs, 60), Unit(70, 9), Unit(70, 9), Unit(140, 9), Unit(140, 9), None),
            new("several blocks of anchors", new(0.5), Unit(300, 3), Unit(300, 3), None, None, None),
            new("published width", new(0.1), Unit(6, 128), Unit(6, 128), None, None, None),
            // All keys are equally near: the first counts.
            new("ties", new(1), SampleInput.Values(new Shape(5, 3), 0.5, -0.25, 1), SampleInput.Values(new Shape(5, 3), 0.5, 1, -0.75), None, None, None),
            new("ties in gathered keys", new(1, Dcl.Form.Joint, 129), SampleInput.Values(new Shape(2, 4), 0.5, -0.25, 1, 0), SampleInput.Values(new Shape(2, 4), 0.5, 1, -0.75, 2),
                SampleInput.Values(new Shape(131, 4), 0.5, -0.25, 1, 0), SampleInput.Values(new Shape(131, 4), 0.5, 1, -0.75, 2), None)),
        Of<DclwWeights, DclwWeights.Attr>(
            new("more rows than threads", new(0.5), Unit(1030, 4), Unit(1030, 4)),
            new("wide", new(0.5), Unit(9, 260), Unit(9, 260))),
        Of<L2Normalize, L2Normalize.Attr>(
            new("one column", L2Normalize.Attr.Default, SampleInput.Normal(new Shape(9, 1))),
            new("wide", L2Normalize.Attr.Default, SampleInput.Normal(new Shape(5, 516))),
            new("wide, no quads", L2Normalize.Attr.Default, SampleInput.Normal(new Shape(5, 515))),
            new("not finite", L2Normalize.Attr.Default, SampleInput.Values(new Shape(4, 3), 1, double.NaN, 2, 1, 2, 3, double.PositiveInfinity, 1, 2, 0, 0, 0))),
        Of<MaskedLogSumExp, MaskedLogSumExp.Attr>(
            new("more columns than threads", new(600), SampleInput.Normal(new Shape(5, 1100), 3)),
            new("more columns than threads, no quads", new(2), SampleInput.Normal(new Shape(3, 1099), 3)),
            new("infinities", new(1), SampleInput.Values(new Shape(3, 4), 0, 1, double.NegativeInfinity, 2, double.NegativeInfinity, double.NegativeInfinity, 3, double.NegativeInfinity, double.NaN, 1, 2, 3)),
            new("nothing but minus infinity", new(0), SampleInput.Values(new Shape(1, 5), double.NegativeInfinity))),
        Of<CrossEntropy, CrossEntropy.Attr>(
            new("several blocks", new(Reduction.Mean), SampleInput.Normal(new Shape(2, 1030, 4), 2), SampleInput.IntValues(new Shape(2, 1030), DType.I32, 0, 1, -100, 3, 2)),
            new("more classes than a thread takes", new(Reduction.Sum), SampleInput.Normal(new Shape(37, 9), 2), SampleInput.IntValues(new Shape(37), DType.I64, 8, 1, -100, 3, 2)),
            new("more classes than a warp has lanes", new(Reduction.None), SampleInput.Normal(new Shape(11, 70), 30), SampleInput.IntValues(new Shape(11), DType.I32, 69, 1, -100, 64, 2)),
            new("eight classes", new(Reduction.Mean), SampleInput.Normal(new Shape(5, 8), 2), SampleInput.IntValues(new Shape(5), DType.U8, 7, 0, 3, 6)),
            new("one class", new(Reduction.Mean), SampleInput.Normal(new Shape(5, 1), 2), SampleInput.IntValues(new Shape(5), DType.U8, 0))),
        Of<Mse, Mse.Attr>(
            new("several blocks", new(Reduction.Sum), SampleInput.Normal(new Shape(3, 4097)), SampleInput.Normal(new Shape(3, 4097))),
            new("nothing", new(Reduction.Mean), SampleInput.Normal(new Shape(0)), SampleInput.Normal(new Shape(0))),
            new("several blocks, each its own", new(Reduction.None), SampleInput.Normal(new Shape(2, 4098)), SampleInput.Normal(new Shape(2, 4098)))),
        Of<BceWithLogits, BceWithLogits.Attr>(
            new("several blocks, each its own", new(Reduction.None), SampleInput.Normal(new Shape(2, 4098), 3), SampleInput.Uniform(new Shape(2, 4098), 0, 1)),
            new("not finite", new(Reduction.None), SampleInput.Values(new Shape(3), double.NaN, 700, -700), SampleInput.Values(new Shape(3), 1, 0, 1))),
    ];

    public static TheoryData<string, string> Names => new(Cases.SelectMany(c => c.Samples.Select(s => (c.Op.Name, s.Name))));

    [Theory]
    [MemberData(nameof(Names))]
    public void Equals_its_specification(string op, string sample)
    {
        var (of, samples) = Cases.Single(c => c.Op.Name == op);
        var row = new Row(of, [samples.Single(s => s.Name == sample)]);
        // The second device draws the errors of its special functions within what the manual allows.
        using var exact = SimDriver.Open(new SimOptions { Seed = 3 });
        using var other = SimDriver.Open(new SimOptions { Seed = 4 });
        using var rough = SimDriver.Open(new SimOptions { Seed = 5, SpecialFunctionError = true });
        foreach (CudaDevice[] devices in new CudaDevice[][] { [exact, other], [rough] })
            foreach (int margin in new[] { 17, 64 })
            {
                var result = Assert.Single(GradCheck.Run(row, new GradCheckOptions { Devices = devices, Margin = margin, MaxCoordinates = 5, Directions = 2, DTypes = [DType.F32] }));
                Assert.True(result.Passed, string.Join("\n", result.Problems));
            }
    }

    [Fact]
    public void A_label_that_is_no_class_gives_NaN()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        foreach (int classes in new[] { 4, 12 })
        {
            Tensor logits = scope.From<float>([.. Enumerable.Range(0, 3 * classes).Select(i => 0.1f * i)], new Shape(3, classes)), labels = scope.From<int>([0, classes, -100], new Shape(3));
            var attr = new CrossEntropy.Attr(Reduction.None);
            Tensor loss = Op.Forward<CrossEntropy, CrossEntropy.Attr>(scope, [logits, labels], attr), gradient = scope.Empty(new Shape(3, classes), DType.F32), dy = scope.From<float>([1, 1, 1], new Shape(3));
            Op.Backward<CrossEntropy, CrossEntropy.Attr>(scope, [logits, labels], [loss], [dy], [gradient, Tensor.None], attr);
            float[] l = loss.ToArray<float>(), g = gradient.ToArray<float>();
            Assert.True(float.IsFinite(l[0]) && float.IsNaN(l[1]) && l[2] == 0);
            Assert.All(g[..classes], x => Assert.True(float.IsFinite(x)));
            Assert.All(g[classes..(2 * classes)], x => Assert.True(float.IsNaN(x)));
            Assert.All(g[(2 * classes)..], x => Assert.Equal(0, x));
        }
    }

    private static (OpRow, SampleRow[]) Of<TOp, TAttr>(params Sample<TAttr>[] samples) where TOp : IOp<TAttr> where TAttr : unmanaged =>
        (OpRow.Of<TOp, TAttr>(), [.. samples.Select(s => new SampleRow.Typed<TOp, TAttr>(s))]);

    private sealed class Row(OpRow of, SampleRow[] samples) : OpRow
    {
        public override string Name => of.Name;
        public override OpSignature Signature => of.Signature;
        public override string TypeName => of.TypeName;
        public override Saves Saves => of.Saves;
        public override IReadOnlyList<SampleRow> Samples => samples;
    }
}
