using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

/// <summary>Every file of the goldens' checkpoints is treated as its case says: loaded with PyTorch's numbers, refused in one clear line, or either.</summary>
public class CheckpointGoldenTests
{
    // Hashing, headers and JSON need something even for the smallest file; archives that claim or expand to gigabytes stay far below.
    private const long AllocationFloor = 24 << 20;

    public static IEnumerable<TheoryDataRow<string>> Names => GoldenCase.Names("checkpoints");

    [Theory]
    [MemberData(nameof(Names))]
    public void Is_treated_as_its_case_says(string name)
    {
        var golden = GoldenCase.Find("checkpoints", name);
        string path = Path.Combine(golden.Folder, Field(golden, "checkpoint"));
        string expect = Field(golden, "expect");
        long size = File.Exists(path) ? new FileInfo(path).Length : Directory.GetFiles(path).Sum(f => new FileInfo(f).Length);
        string before = Directory.GetCurrentDirectory();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        OrthrusModel? model = null;
        CheckpointException? refusal = null;
        try
        {
            model = OrthrusModel.Load(path, Expected(golden));
        }
        catch (CheckpointException e)
        {
            refusal = e;
        }
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Assert.True(allocated < AllocationFloor + 40 * size, $"{allocated} bytes allocated for a file of {size}");
        foreach (string folder in new[] { before, golden.Folder, Path.GetDirectoryName(path)! }) Assert.False(File.Exists(Path.Combine(folder, "PWNED")), "a payload ran");
        if (expect == "refuse") Assert.True(refusal is not null, "was loaded: " + Field(golden, "why"));
        if (expect == "load") Assert.True(refusal is null, refusal?.Message);
        if (refusal is not null)
        {
            Assert.DoesNotContain('\n', refusal.Message);
            Assert.InRange(refusal.Message.Length, 20, 900);
            Assert.Contains(Path.GetFileName(Path.TrimEndingDirectorySeparator(path)), refusal.Message);
        }
        else if (expect == "load") AssertNumbers(golden, model!);
    }

    // A bare weights file says its size nowhere else.
    private static MambaConfig? Expected(GoldenCase golden) => golden.Json.TryGetProperty("attrs", out var attrs) && attrs.TryGetProperty("config", out var c)
        ? new MambaConfig(c.GetProperty("ssm_model_dim").GetInt32(), c.GetProperty("ssm_n_layers").GetInt32(), c.GetProperty("n_tracks").GetInt32())
        : null;

    private static string Field(GoldenCase golden, string name) => golden.Json.GetProperty(name).GetString()!;

    private static void AssertNumbers(GoldenCase golden, OrthrusModel model)
    {
        var bytes = golden.Input("bytes");
        int[] lengths = golden.Input("lengths").ToInt32();
        int rows = lengths.Length, length = bytes.Dims[1];
        byte[] tracks = bytes.ToBytes();
        using (var embedder = new Embedder(model, new EmbedderOptions { Threads = 2 }))
        {
            var rep = embedder.EmbedAll(Enumerable.Range(0, rows), i => tracks.AsMemory(i * length, lengths[i])).SelectMany(r => r.Vector).ToArray();
            golden.AssertF32(golden.Outputs["rep"], rep);
        }
        using var device = new CpuDevice(2);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F32);
        using var tape = new Tape(device);
        var encoder = model.CreateEncoder(store);
        var y = encoder.Forward(tape, scope.From<byte>(tracks, new Shape(rows, length)), scope.From<int>(lengths, new Shape(rows)));
        var pooled = Functions.MeanPool(tape, y, tape.Constant(scope.From<int>(lengths, new Shape(rows))));
        golden.AssertF32(golden.Outputs["rep"], pooled.Value.ToArray<float>());
        foreach (string output in golden.Outputs.Keys.Where(k => k != "rep"))
        {
            string head = output == "logits" ? "sequence_head" : output;
            var description = Assert.Single(model.DescribeHeads(), h => h.Name == head);
            var result = description.PerPosition
                ? model.CreatePositionHead(store, head).Forward(tape, y, training: false)
                : model.CreateProjectionHead(store, head).Forward(tape, pooled, training: false);
            golden.AssertF32(golden.Outputs[output], result.Value.ToArray<float>());
        }
        if (golden.Json.TryGetProperty("attrs", out var attrs) && attrs.TryGetProperty("optimizer", out var optimizer))
        {
            Assert.Equal(optimizer.GetProperty("states").GetInt32(), model.Optimizer.Count);
            Assert.All(model.Optimizer, s => Assert.Equal(optimizer.GetProperty("step").GetDouble(), s.Step));
            Assert.Equal(optimizer.GetProperty("exp_avg_sum").GetDouble(), model.Optimizer.Sum(s => s.ExpAvg.ToDouble().Sum()), 1e-6);
            Assert.Equal(optimizer.GetProperty("exp_avg_sq_sum").GetDouble(), model.Optimizer.Sum(s => s.ExpAvgSq.ToDouble().Sum()), 1e-6);
            Assert.Equal(string.Join(", ", optimizer.GetProperty("groups").EnumerateArray()), model.Provenance["optimizer_groups"]);
            Assert.Equal(attrs.GetProperty("global_step").GetInt64().ToString(), model.Provenance["global_step"]);
        }
    }
}
