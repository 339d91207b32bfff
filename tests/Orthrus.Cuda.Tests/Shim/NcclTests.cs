using System.Reflection;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using Orthrus.Train;
using Orthrus.Train.Tests.Ranks;
using Orthrus.Train.Tests.Training;
using static Orthrus.Cuda.Tests.Shim.ShimChild;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>Exchanges between GPUs through the real declarations of NCCL: two ranks on two simulated devices, with a C library of NCCL's interface between their memories.</summary>
public sealed class NcclTests
{
    private const string What = "ORTHRUS_SHIM_NCCL";

    private static string[] Run(string what, string? nccl = "new")
    {
        string folder = Shims.Build(nccl: nccl);
        try
        {
            return ShimChild.Run(new(folder, Twins: true), typeof(NcclTests), new Dictionary<string, string> { [What] = what });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Every_function_moves_what_it_should()
    {
        string[] lines = Run("exchange");
        Assert.Equal("ok", lines[0]);
        Assert.Contains("name NCCL 2.18.3, threads", lines);
        string[] declared = [.. typeof(NcclCommunicator).GetMethods(BindingFlags.Static | BindingFlags.NonPublic).Where(m => m.Name.StartsWith("nccl", StringComparison.Ordinal) && m.Name != "ncclGetErrorString").Select(m => m.Name).Distinct().Order(StringComparer.Ordinal)];
        Assert.Equal(11, declared.Length);
        Assert.Equal(declared, lines.Where(l => l.StartsWith("called ", StringComparison.Ordinal)).Select(l => l[7..]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_training_step_of_two_GPUs_has_the_gradient_of_one_process() => Assert.Equal("ok", Run("step")[0]);

    [Fact]
    public void A_rank_that_is_gone_is_said() => Assert.Equal(
        "CudaException: ncclAllGather: NCCL: remote process exited or there was a network error (ncclResult 6); another rank ended or cannot be reached; the launcher's messages name it", Run("remote")[0]);

    [Fact]
    public void Without_the_library_and_with_one_that_is_too_old()
    {
        string line = Run("exchange", nccl: null)[0];
        if (line == "ok") Assert.Skip("this machine has NCCL");
        Assert.StartsWith("CollectiveException: NCCL was not found (libnccl.so.2: ", line);
        Assert.EndsWith("); install it (libnccl2, NCCL 2.7 or later) or name its folder in ORTHRUS_CUDA_FOLDERS; GPUs of several processes need it", line);
        Assert.Matches("^CollectiveException: .*libnccl.so.2 is older than NCCL 2.7; install a newer libnccl2$", Run("exchange", nccl: "old")[0]);
    }

    [Fact(Explicit = true)]
    public void Runs_in_a_child_process()
    {
        List<string> lines = [];
        try
        {
            using var sim = Connect();
            string what = Environment.GetEnvironmentVariable(What)!;
            if (what == "remote") NcclFunctions.FailsAfter = 1;
            string[] names = ThreadRanks.Run(what == "remote" ? 1 : 2, host =>
            {
                using var device = CudaDevice.Open(host.Rank);
                using var ranks = new NcclCollective(host, device);
                if (what == "step") Step(ranks, device);
                else Exchange(ranks, device);
                return ranks.Name;
            });
            lines.AddRange(names.Select(n => $"name {n}"));
            lines.AddRange(NcclFunctions.Called.Select(c => $"called {c}"));
            lines.Insert(0, "ok");
        }
        catch (Exception e)
        {
            lines.Insert(0, $"{e.GetType().Name}: {e.Message}");
        }
        Answer(lines);
    }

    private static void Exchange(NcclCollective ranks, CudaDevice device)
    {
        using var scope = device.OpenScope();
        int me = ranks.Rank;
        var mine = scope.From<float>([10 * me, 10 * me + 1, 10 * me + 2], new Shape(3));
        var all = scope.Empty(new Shape(ranks.Ranks, 3), DType.F32);
        ranks.AllGather(mine, all);
        Is(all.ToArray<float>(), [.. Enumerable.Range(0, ranks.Ranks).SelectMany(r => new float[] { 10 * r, 10 * r + 1, 10 * r + 2 })]);
        var blocks = scope.From<float>([.. Enumerable.Range(0, ranks.Ranks).SelectMany(to => new float[] { 100 * me + to, -to })], new Shape(ranks.Ranks, 2));
        var got = scope.Empty(blocks.Shape, DType.F32);
        ranks.AllToAll(blocks, got);
        Is(got.ToArray<float>(), [.. Enumerable.Range(0, ranks.Ranks).SelectMany(from => new float[] { 100 * from + me, -me })]);
        var count = scope.From<long>([me + 7L], new Shape(1));
        ranks.Broadcast(count);
        if (count.ToArray<long>()[0] != 7) throw new InvalidOperationException("broadcast");
        // What the stream holds before and after is in order with the exchange.
        Accumulate.Into(mine, mine);
        ranks.AllGather(mine, all);
        Accumulate.Into(mine, mine);
        Is(all.ToArray<float>(), [.. Enumerable.Range(0, ranks.Ranks).SelectMany(r => new float[] { 20 * r, 20 * r + 2, 20 * r + 4 })]);
    }

    private static void Is(float[] got, float[] want)
    {
        if (!got.AsSpan().SequenceEqual(want)) throw new InvalidOperationException($"{string.Join(' ', got)} instead of {string.Join(' ', want)}");
    }

    private static void Step(NcclCollective ranks, CudaDevice device)
    {
        var want = Gradients(new CpuDevice(1), DType.F64, null);
        var got = Gradients(device, DType.F32, ranks);
        double scale = want.Values.Max(g => g.Max(Math.Abs));
        foreach (var (name, expected) in want)
            for (int i = 0; i < expected.Length; i++)
                if (!(Math.Abs(got[name][i] - expected[i]) <= 5e-4 * (scale * 0.01 + expected.Max(Math.Abs)))) throw new InvalidOperationException($"{name}[{i}]: {got[name][i]:G9}, want {expected[i]:G9}");
    }

    private static Dictionary<string, double[]> Gradients(Device device, DType dtype, ICollective? ranks)
    {
        using var own = device is CpuDevice ? device : null;
        using var store = new ParameterStore(device, dtype);
        var model = new PretrainModel(store, new MambaConfig(16, 1, 6), new PretrainModelOptions { HeadBody = 8, HeadOut = 8 });
        model.Initialise(3);
        using var step = new PretrainStep(model, store, new PretrainStepOptions(), ranks);
        step.Run([TrainBatch.Of(new Families(24, 3, 5).Batch(0), null, 9, 0)], new(1, 0, 0));
        step.Reduce();
        return model.NamedParameters().Where(p => !p.Value.Grad.IsNone).ToDictionary(p => p.Key, p => p.Value.Grad.ToDoubles());
    }
}
