using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Cli.SelfTest;

/// <summary>The same bits every time and in every company, and memory that comes back.</summary>
internal static class RepeatChecks
{
    private const int Rounds = 4;
    private static readonly MambaConfig Small = new(64, 2, 6);
    private static readonly byte[][] Input = [.. new[] { 1, 33, 200, 64, 190, 31 }.Select((n, i) => Records.Random(n, 6, i))];

    internal static void Run(SelfTestLog log, CheckDevices devices)
    {
        foreach (var dtype in devices.DTypes)
        {
            log.Run("determinism", "embeddings in every company", $"{dtype}", () => Company(devices, dtype));
            log.Run("determinism", "gradients twice", $"{dtype}", () => Twice(devices, dtype));
        }
        if (devices.Gpu is { } gpu)
            foreach (var dtype in devices.DTypes) log.Run("memory", "embedding", $"{dtype}", () => EmbeddingMemory(gpu, dtype));
        foreach (var dtype in devices.DTypes)
            log.Run("memory", "training steps", $"{dtype}", () =>
            {
                if (devices.Gpu is { } device) return TrainingMemory(device, dtype);
                using var cpu = new CpuDevice();
                return TrainingMemory(cpu, dtype);
            });
    }

    private static Finding Company(CheckDevices devices, DType dtype)
    {
        var model = OrthrusModel.Create(Small, seed: 5);
        List<string> problems = [];
        using var embedder = Open(devices.Gpu, 1);
        float[][] together = All(embedder, Input);
        Same("again", together, All(embedder, Input));
        Same("one by one", together, [.. Input.Select(r => embedder.Embed(r))]);
        int[] order = [4, 2, 0, 5, 1, 3];
        Same("in another order", [.. order.Select(i => together[i])], All(embedder, [.. order.Select(i => Input[i])]));
        Same("several times", [together[4], together[4], together[2], together[4]], All(embedder, [Input[4], Input[4], Input[2], Input[4]]));
        // The other simulated order of blocks and warps; on the CPU another number of threads.
        using var second = Open((CudaDevice?)devices.Pair?[1], 3);
        Same(devices.Place switch { DevicePlace.Cpu => "with another number of threads", DevicePlace.Sim => "with another order of blocks and warps", _ => "with another embedder" }, together, All(second, Input));
        return Finding.Of("every bit", problems);

        Embedder Open(CudaDevice? device, int threads) => new(model, new EmbedderOptions { Device = device, DType = dtype, Threads = device is null ? threads : 0 });

        static float[][] All(Embedder with, byte[][] records) => [.. with.EmbedAll(records, r => r).Select(e => e.Vector)];

        void Same(string how, float[][] want, float[][] got)
        {
            for (int i = 0; i < want.Length; i++)
                if (!want[i].AsSpan().SequenceEqual(got[i])) problems.Add($"{how}, record {i + 1} has another embedding");
        }
    }

    private static Finding Twice(CheckDevices devices, DType dtype)
    {
        var golden = GoldenEncoder.All()[0];
        using var one = devices.Gpu is null ? new CpuDevice(1) : null;
        using var three = devices.Gpu is null ? new CpuDevice(3) : null;
        Device device = devices.Gpu ?? (Device)one!;
        EncoderPass first = golden.Pass(device, dtype), again = golden.Pass(device, dtype), other = golden.Pass(devices.Pair?[1] ?? three!, dtype);
        return Finding.Of("every bit", new[] { again, other }.SelectMany(p => p.Gradients.Where(g => !g.Value.AsSpan().SequenceEqual(first.Gradients[g.Key])).Select(g => $"the gradient of {g.Key} differs")));
    }

    private static Finding EmbeddingMemory(CudaDevice device, DType dtype)
    {
        // What other checks left in the pool.
        device.Trim();
        var before = (device.LiveBlocks, device.LiveBytes);
        var usage = new List<(long, long)>();
        using (var embedder = new Embedder(OrthrusModel.Create(Small, seed: 5), new EmbedderOptions { Device = device, DType = dtype }))
            for (int round = 0; round < Rounds; round++)
            {
                foreach (var _ in embedder.EmbedAll(Input, r => r)) { }
                usage.Add((device.LiveBytes, device.CachedBytes));
            }
        return Memory(device, before, usage);
    }

    private static Finding TrainingMemory(Device device, DType dtype)
    {
        var golden = GoldenEncoder.All()[0];
        // What other checks left in the pool.
        device.Trim();
        var before = (device.LiveBlocks, device.LiveBytes);
        var usage = new List<(long, long)>();
        using (var store = new ParameterStore(device, dtype))
        using (var tape = new Tape(device))
        {
            var model = new MixerModel(store, golden.Config);
            foreach (var (name, p) in model.NamedParameters()) EncoderPass.Fill(p.Value, golden.Weight(name));
            using var moments = device.OpenScope();
            // Matrices in BF16 are updated from float32 copies by a trainer; here all that is float32 or float64.
            Parameter[] trained = [.. model.NamedParameters().Select(p => p.Value).Where(p => p.Value.DType != DType.BF16)];
            Tensor.Tensor[] mean = [.. trained.Select(p => moments.Zeros(p.Shape, p.Value.DType))], square = [.. trained.Select(p => moments.Zeros(p.Shape, p.Value.DType))];
            for (int step = 1; step <= Rounds; step++)
            {
                using (var scope = device.OpenScope())
                {
                    var counts = scope.From<int>(golden.Lengths, new Shape(golden.Records));
                    var rep = model.Represent(tape, scope.From<byte>(golden.Tracks, new Shape(golden.Records, golden.Length)), counts);
                    var incoming = scope.Empty(rep.Value.Shape, rep.Value.DType);
                    EncoderPass.Fill(incoming, golden.Values(golden.Cotangent!));
                    tape.Backward([rep], [incoming]);
                    Update.Run<AdamW, AdamW.Attr>(scope, [.. trained.Select(p => p.Value), .. trained.Select(p => p.Grad), .. mean, .. square], new(1e-3, 0.1, step), []);
                    model.ClearGrads();
                    tape.Reset();
                }
                device.Synchronize();
                usage.Add((device.LiveBytes, device.CachedBytes));
            }
        }
        return Memory(device, before, usage);
    }

    // The first round makes what stays (gradients, cached blocks); from the second on nothing may be added.
    private static Finding Memory(Device device, (int Blocks, long Bytes) before, List<(long Live, long Cached)> usage)
    {
        List<string> problems = [];
        if ((device.LiveBlocks, device.LiveBytes) != before) problems.Add($"{device.LiveBlocks - before.Blocks} blocks, {device.LiveBytes - before.Bytes:N0} bytes stay in use");
        for (int round = 2; round < usage.Count; round++)
            if (usage[round] != usage[1]) problems.Add($"round {round + 1} ends with {usage[round].Live:N0} bytes in use and {usage[round].Cached:N0} kept, round 2 with {usage[1].Live:N0} and {usage[1].Cached:N0}");
        return Finding.Of($"{usage[^1].Live + usage[^1].Cached:N0} bytes in all rounds, 0 after", problems);
    }
}
