using System.Globalization;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Operators that memory limits, at the model's widths: simulated DRAM bytes of all their launches within 1.05 of every operand once, accesses that fill their
/// sectors, no local memory, no bank conflicts worth the name. All figures are counted on a simulated device.
/// </summary>
public sealed class ByteBudgetTests(ITestOutputHelper output)
{
    private const double Budget = 1.05, SectorEfficiency = 0.98, BankConflicts = 1.01;
    // Sectors asked for, those that a cache has included: rows that neighbouring tiles share, weights that every warp reads, and the table of which the
    // embedding gathers a row for each of its own.
    private const double Requested = 1.2, RequestedByGather = 2.15;

    public static TheoryData<string, DType> Cases
    {
        get
        {
            var data = new TheoryData<string, DType>();
            foreach (string name in new[] { "silu", "layer_norm", "add_layer_norm", "add_rms_norm", "causal_conv1d", "track_embedding", "masked_mean_pool" })
            {
                data.Add(name, DType.F32);
                data.Add(name, DType.BF16);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_operand_moves_once(string name, DType dtype)
    {
        using var driver = new SimDriver();
        using var device = driver.OpenDevice();
        var reports = new List<LaunchReport>();
        using var scope = device.OpenScope();
        Tensor Random(Shape shape, DType type, ulong seed = 1) => RowOpTests.Fill(scope, shape, type, seed);

        void Forward<TOp, TAttr>(Tensor[] inputs, TAttr attr, Tensor[] outputs) where TOp : IOp<TAttr> where TAttr : unmanaged
        {
            device.Synchronize();
            reports.Clear();
            driver.Launched = reports.Add;
            Op.Forward<TOp, TAttr>(scope, inputs, attr, outputs);
            device.Synchronize();
            driver.Launched = null;
            Judge($"{name} {dtype} forward", reports, [.. inputs, .. outputs], Cost<TOp, TAttr>(inputs, attr).Bytes);
        }

        // The call's own results serve as their gradients where kind and shape are right.
        void Backward<TOp, TAttr>(Tensor[] inputs, TAttr attr, Tensor[] outputs, Tensor[] outputGrads, params int[] read) where TOp : IOp<TAttr> where TAttr : unmanaged
        {
            var signature = TOp.Signature;
            var inputGrads = inputs.Select((t, i) => t.IsNone || signature.Inputs[i].Kind != OperandKind.Real ? Tensor.None : scope.Empty(t.Shape, signature.Inputs[i].GradientIn(dtype))).ToArray();
            device.Synchronize();
            reports.Clear();
            driver.Launched = reports.Add;
            Op.Backward<TOp, TAttr>(scope, inputs, outputs, outputGrads, inputGrads, attr);
            device.Synchronize();
            driver.Launched = null;
            Judge($"{name} {dtype} backward", reports, [.. read.Select(i => i < inputs.Length ? inputs[i] : outputs[i - inputs.Length]), .. outputGrads, .. inputGrads], Cost<TOp, TAttr>(inputs, attr).BackwardBytes);
        }

        const int batch = 8, length = 3001, channels = 512;
        var rows = new Shape(batch, length, channels);
        var outputs = new Tensor[2];
        Tensor Weight(ulong seed) => Random(new Shape(channels), DType.F32, seed);
        switch (name)
        {
            case "silu":
                Tensor[] siluIn = [Random(rows, dtype)];
                Forward<SiLU, NoAttr>(siluIn, default, new Tensor[1]);
                Backward<SiLU, NoAttr>(siluIn, default, [], [Random(rows, dtype, 2)], 0);
                break;
            case "layer_norm":
                Tensor[] normIn = [Random(rows, dtype), Weight(2), Weight(3)], normOut = new Tensor[1];
                Forward<LayerNorm, LayerNorm.Attr>(normIn, new(1e-5), normOut);
                Backward<LayerNorm, LayerNorm.Attr>(normIn, new(1e-5), normOut, normOut, 0, 1);
                break;
            case "add_layer_norm":
                Tensor[] addIn = [Random(rows, dtype), Random(rows, DType.F32, 4), Weight(2), Weight(3)];
                Forward<AddLayerNorm, AddLayerNorm.Attr>(addIn, new(1e-5), outputs);
                Backward<AddLayerNorm, AddLayerNorm.Attr>(addIn, new(1e-5), outputs, [outputs[0], addIn[1]], 2, 5);
                break;
            case "add_rms_norm":
                // A row of 1,024 numbers is the widest that one warp takes.
                var wide = new Shape(batch / 2, length, 2 * channels);
                Tensor[] rmsIn = [Random(wide, dtype), Random(wide, DType.F32, 4), Random(new Shape(2 * channels), DType.F32, 2)];
                Forward<AddRmsNorm, AddRmsNorm.Attr>(rmsIn, new(1e-5), outputs);
                Backward<AddRmsNorm, AddRmsNorm.Attr>(rmsIn, new(1e-5), outputs, [outputs[0], rmsIn[1]], 2, 4);
                break;
            case "causal_conv1d":
                const int inner = 1024, sequences = 6;
                Tensor[] convIn = [Random(new Shape(sequences, length, inner), dtype), Random(new Shape(inner, 4), DType.F32, 2), Random(new Shape(inner), DType.F32, 3), Random(new Shape(sequences, 3, inner), DType.F32, 4)];
                Forward<CausalConv1d, CausalConv1d.Attr>(convIn, default, outputs);
                Backward<CausalConv1d, CausalConv1d.Attr>(convIn, default, outputs, outputs, 0, 1, 2, 3);
                break;
            case "track_embedding":
                var bytes = new byte[batch * length];
                for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)(i * 37 % 64);
                Tensor[] embeddingIn = [scope.From<byte>(bytes, new Shape(batch, length)), Random(new Shape(channels, 6), dtype, 2), Weight(3)], embedded = new Tensor[1];
                Forward<TrackEmbedding, NoAttr>(embeddingIn, default, embedded);
                Backward<TrackEmbedding, NoAttr>(embeddingIn, default, embedded, embedded, 0);
                break;
            default:
                Tensor[] poolIn = [Random(rows, dtype), scope.From<int>(Enumerable.Repeat(length, batch).ToArray(), new Shape(batch))], pooled = new Tensor[1];
                Forward<MaskedMeanPool, NoAttr>(poolIn, default, pooled);
                Backward<MaskedMeanPool, NoAttr>(poolIn, default, pooled, pooled, 1);
                break;
        }
    }

    private static OpCost Cost<TOp, TAttr>(Tensor[] inputs, TAttr attr) where TOp : IOp<TAttr> where TAttr : unmanaged =>
        TOp.Cost(Op.Infer<TOp, TAttr>([.. inputs.Select(t => TensorSpec.Of(t))], attr), attr);

    /// <param name="what">For messages.</param>
    /// <param name="reports">The launches.</param>
    /// <param name="operands">Everything that is read or written once.</param>
    /// <param name="stated">The least bytes as the operator itself states them, for the tables of figures.</param>
    private void Judge(string what, List<LaunchReport> reports, Tensor[] operands, long stated)
    {
        Assert.NotEmpty(reports);
        double minimum = operands.Where(t => !t.IsNone).Sum(t => t.Bytes), elements = operands.Where(t => !t.IsNone).Max(t => t.Count);
        double dram = reports.Sum(r => r.DramReadBytes + r.DramWriteBytes), sectors = reports.Sum(r => r.GlobalLoads.Units + r.GlobalStores.Units);
        double packed = reports.Sum(r => r.GlobalLoads.Minimum + r.GlobalStores.Minimum), instructions = reports.Sum(r => r.WithoutMoves.Lane);
        double shared = reports.Sum(r => r.SharedLoads.Units + r.SharedStores.Units), banks = reports.Sum(r => r.SharedLoads.Minimum + r.SharedStores.Minimum);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{what}: DRAM / minimum {dram / minimum:0.000}, requested / minimum {32 * sectors / minimum:0.000}, sector efficiency {packed / sectors:0.000}, bank cycles / minimum {(banks == 0 ? 1 : shared / banks):0.000}, PTX instructions per element {instructions / elements:0.0}"));
        Assert.InRange(stated, 0.99 * minimum, 1.01 * minimum);
        Assert.True(dram >= 0.999 * stated, $"{what}: moves less ({dram}) than the operator calls the least ({stated})");
        Assert.True(dram <= Budget * minimum, $"{what}: {dram / minimum:0.000} of the least DRAM bytes");
        Assert.True(32 * sectors <= (reports.Any(r => r.Kernel.StartsWith("embedding_gather", StringComparison.Ordinal)) ? RequestedByGather : Requested) * minimum, $"{what}: asks for {32 * sectors / minimum:0.000} of the least bytes");
        Assert.True(packed >= SectorEfficiency * sectors, $"{what}: sectors filled to {packed / sectors:0.000}");
        Assert.True(shared <= BankConflicts * banks + 64 * reports.Sum(r => r.Grid.Count), $"{what}: {shared} bank cycles for {banks}");
        Assert.All(reports, r => Assert.Equal(0, r.Local.Requests));
    }
}
