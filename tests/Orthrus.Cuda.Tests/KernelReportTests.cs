using System.Globalization;
using System.Text.RegularExpressions;
using Orthrus.Kernels;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests;

/// <summary>The tables of docs/KERNELS.md, the budget of dynamic shared memory, and architectures beyond those of the tables.</summary>
public sealed class KernelReportTests
{
    private static void NeedNvrtc()
    {
        if (!Nvrtc.IsAvailable) Assert.Skip("needs NVRTC 11.8 (set ORTHRUS_CUDA_FOLDERS to its folder)");
    }

    // A Jetson Orin, and whatever is newer than the tables: a NVRTC of CUDA 12 or 13 knows more of it.
    [Fact, Trait("tier", "long")]
    public void Every_source_compiles_for_the_other_architectures_that_NVRTC_knows()
    {
        NeedNvrtc();
        Assert.Superset(StaticFigures.Architectures.Where(a => a >= 75).ToHashSet(), Nvrtc.Architectures.ToHashSet());
        int[] others = [.. Nvrtc.Architectures.Where(a => a >= 80 && !StaticFigures.Architectures.Contains(a))];
        Assert.Contains(87, others);
        foreach (int architecture in others)
            foreach (string name in CudaResources.Sources)
                foreach (bool bfloat16 in new[] { false, true })
                    Assert.NotEmpty(StaticFigures.Of(CudaSource.BuiltIn(name), new CudaVariant(architecture, bfloat16)));
    }

    [Fact]
    public void Launches_keep_the_budget_of_dynamic_shared_memory()
    {
        var seen = new HashSet<string>();
        SimDeviceSpec small = SimDeviceSpec.L4 with { Name = "small", ComputeCapability = 75, SharedPerBlock = 64 << 10, SharedPerMultiprocessor = 64 << 10 };
        // So little that batch norm streams what it else keeps.
        SimDeviceSpec tiny = small with { Name = "tiny", SharedPerBlock = 9 << 10 };
        // One multiprocessor, which the largest tile of a product fills.
        SimDeviceSpec one = SimDeviceSpec.H100 with { Name = "one", Multiprocessors = 1 };
        foreach (var spec in new[] { SimDeviceSpec.H100, SimDeviceSpec.L4, small, tiny, one })
        {
            var launches = new List<LaunchReport>();
            using var driver = new SimDriver(new SimOptions { Checks = false }, spec) { Launched = launches.Add };
            using var device = driver.OpenDevice();
            foreach (var op in OpTable.All.Where(o => spec == tiny ? o.Name == "batch_norm" : o.Name is "selective_scan" or "linear" or "batch_norm" or "track_embedding" or "track_rows"))
                // A large sample where it takes kernels that the small ones do not.
                foreach (var sample in op.Samples.Where(s => !s.Bench || spec == tiny))
                    foreach (var dtype in op.Signature.BFloat16 && spec.ComputeCapability >= 80 ? new[] { DType.F32, DType.BF16 } : [DType.F32])
                    {
                        using var work = OpWork.Of(op, sample, dtype, device);
                        work.Forward();
                        if (work.HasBackward) work.Backward();
                        device.Synchronize();
                        Hold($"{op.Name}, {sample.Name}", dtype);
                    }
            // Channels by fours: no small sample has them.
            foreach (int tracks in spec == tiny ? [] : new[] { 4, 6 })
                foreach (var dtype in spec.ComputeCapability >= 80 ? new[] { DType.F32, DType.BF16 } : [DType.F32])
                {
                    Embed(device, tracks, dtype);
                    Hold($"embedding of {tracks} tracks", dtype);
                }

            if (spec == one)
            {
                Multiply(device);
                Hold("a product of one tile", DType.BF16);
            }

            void Hold(string what, DType dtype)
            {
                foreach (var launch in launches)
                {
                    int most = DynamicShared.MostOf(launch.Kernel, dtype);
                    if (DynamicShared.Budgets.GetValueOrDefault(launch.Kernel) is { Rule: not null }) Assert.InRange(launch.DynamicSharedBytes, 0, Math.Min(most, spec.SharedPerBlock));
                    else Assert.True(launch.DynamicSharedBytes == most, $"{what}, {dtype}: {launch.Kernel} takes {launch.DynamicSharedBytes} bytes of dynamic shared memory; its budget is {most}");
                    if (launch.DynamicSharedBytes > 0) seen.Add(launch.Kernel);
                }
                launches.Clear();
            }
        }
        // Every line of the table was held against a launch. The two that are left need records of thousands of steps: the scan's own tests and tables run them.
        Assert.Equal(["selective_scan_chained", "selective_scan_ends"], DynamicShared.Budgets.Keys.Except(seen).Order(StringComparer.Ordinal));
        // No other kernel names dynamic shared memory.
        foreach (string name in CudaResources.Sources)
            foreach (string ptx in CudaVariant.Embedded.Select(v => CudaResources.Ptx(CudaSource.BuiltIn(name), v)).OfType<string>())
                if (Regex.Matches(ptx, @"\.extern \.shared [^;]*? (\w+)\[\]") is { Count: > 0 } rooms)
                    foreach (Match entry in Regex.Matches(ptx, @"\.entry (\w+)\((.*?)\n\}", RegexOptions.Singleline))
                        Assert.Equal(rooms.Any(room => Regex.IsMatch(entry.Groups[2].Value, $@"\b{room.Groups[1].Value}\b")), DynamicShared.Budgets.ContainsKey(entry.Groups[1].Value));
    }

    [Fact]
    public void Every_source_has_its_note_and_every_budget_its_kernel()
    {
        string page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "KERNELS.md"));
        string notes = page[page.IndexOf("## Notes", StringComparison.Ordinal)..];
        Assert.All(CudaResources.Sources, s => Assert.Contains($"`{s}`", notes));
        string[] kernels = [.. CudaResources.Sources.SelectMany(s => CudaVariant.Embedded.Select(v => CudaResources.Ptx(CudaSource.BuiltIn(s), v)).OfType<string>()).SelectMany(ptx => Regex.Matches(ptx, @"\.entry (\w+)\(").Select(m => m.Groups[1].Value)).Distinct()];
        Assert.Empty(RegisterBudgets.Unused(kernels));
    }

    private static void Multiply(CudaDevice device)
    {
        const int rows = 256, width = 128;
        using var scope = device.OpenScope();
        Tensor.Tensor[] inputs = [scope.Zeros(new Shape(rows, width), DType.BF16), scope.Zeros(new Shape(width, width), DType.BF16), Tensor.Tensor.None];
        var outputs = new Tensor.Tensor[1];
        Op.Forward<Linear, NoAttr>(scope, inputs, default, outputs);
        Op.Backward<Linear, NoAttr>(scope, inputs, outputs, [scope.Zeros(outputs[0].Shape, DType.BF16)], [scope.Empty(inputs[0].Shape, DType.BF16), Tensor.Tensor.None, Tensor.Tensor.None], default);
        device.Synchronize();
    }

    private static void Embed(CudaDevice device, int tracks, DType dtype)
    {
        const int positions = 40, channels = 64;
        using var scope = device.OpenScope();
        var signature = TrackEmbedding.Signature;
        Tensor.Tensor[] inputs =
        [
            scope.Zeros(new Shape(1, positions), DType.U8), scope.Zeros(new Shape(channels, tracks), signature.Inputs[1].In(dtype)), scope.Zeros(new Shape(channels), signature.Inputs[2].In(dtype)),
        ];
        var outputs = new Tensor.Tensor[1];
        Op.Forward<TrackEmbedding, NoAttr>(scope, inputs, default, outputs);
        Tensor.Tensor[] gradients = [Tensor.Tensor.None, .. new[] { 1, 2 }.Select(i => scope.Empty(inputs[i].Shape, signature.Inputs[i].GradientIn(dtype)))];
        Op.Backward<TrackEmbedding, NoAttr>(scope, inputs, outputs, [scope.Zeros(outputs[0].Shape, dtype)], gradients, default);
        device.Synchronize();
    }

    [Fact]
    public void The_budget_fits_the_devices_that_it_is_for()
    {
        int Of(string kernel, DType dtype) => DynamicShared.MostOf(kernel, dtype);
        foreach (var dtype in new[] { DType.F32, DType.BF16 })
        {
            Assert.InRange(Of("selective_scan_backward", dtype), 1, SimDeviceSpec.A100.SharedPerBlock);
            Assert.InRange(Of("selective_scan_backward_small", dtype), 1, SimDeviceSpec.L4.SharedPerBlock);
            // Compute 7.5 has 64 KB.
            Assert.InRange(Of("selective_scan_backward_least", dtype), 1, 64 << 10);
            Assert.InRange(Of("selective_scan_forward", dtype), 1, 48 << 10);
        }
        Assert.InRange(Of("linear_forward_huge", DType.BF16), 1, SimDeviceSpec.L4.SharedPerBlock);
        Assert.Equal(0, Of("silu_forward", DType.F32));
    }

    [Fact]
    public void The_table_of_launches_counts_warps_and_kinds()
    {
        var figures = SimulatedFigures.Of(OpTable.All.Where(o => o.Name == "silu"), [], [DType.F32], SimDeviceSpec.H100).ToArray();
        string[] rows = LaunchTable.Of(figures, (kernel, bfloat16, architecture) => kernel == "silu_forward" && !bfloat16 ? architecture : null).TrimEnd().Split('\n');
        Assert.Equal(4, rows.Length);
        string[] forward = Cells(rows[3]), backward = Cells(rows[2]);
        Assert.Equal(["silu_forward", "f32"], forward[..2]);
        Assert.Equal("0 + 0", forward[3]);
        // 256 threads of 90 (96), 80, 89 (96) registers: 2, 3, 2 and 2 blocks of 8 warps.
        Assert.Equal("256", forward[2]);
        Assert.Equal(["16", "24", "16", "16"], forward[4..8]);
        Assert.Equal(["–", "–", "–", "–"], backward[4..8]);
        int[] mix = [.. forward[8..].Select(c => int.Parse(c.TrimEnd(' ', '%'), CultureInfo.InvariantCulture))];
        Assert.Equal(8, mix.Length);
        Assert.InRange(mix.Sum(), 97, 103);
        Assert.True(mix[0] > 10 && mix[1] > 3 && mix[5] == 0 && mix[6] == 0, rows[3]);
    }

    [Fact]
    public void The_table_of_the_field_has_our_rows_in_its_columns()
    {
        string text = FieldTables.Of([(1, 64)], (_, _) => 120);
        string[][] tables = [.. text.TrimEnd().Split("\n\n").Select(t => t.Split('\n'))];
        Assert.Equal(2, tables.Length);
        foreach (string[] table in tables) Assert.All(table, row => Assert.Equal(Cells(table[0]).Length, Cells(row).Length));
        string[] scan = Cells(tables[0].Single(r => r.StartsWith("| forward: forward | bf16 | 1 x 64 |", StringComparison.Ordinal)));
        double Number(string cell) => double.Parse(cell, NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
        // 32 blocks of 4 warps on 132 multiprocessors.
        Assert.Equal("1.0", scan[4]);
        Assert.InRange(Number(scan[5]), 5, 12);
        Assert.InRange(Number(scan[6]), 1, 1.4);
        Assert.Contains(tables[0], r => r.StartsWith("| backward: backward, sums | bf16 |", StringComparison.Ordinal));
        Assert.Equal(4, tables[1].Count(r => Regex.IsMatch(r, @"^\| (forward|backward): conv_(forward|backward)_4")));
        Assert.Equal(8, tables[0].Count(r => r.Contains("state-spaces/mamba", StringComparison.Ordinal)));
        Assert.Equal(4, tables[1].Count(r => r.Contains("causal-conv1d", StringComparison.Ordinal)));
    }

    [Fact, Trait("tier", "long")]
    public void The_page_of_figures_has_todays_tables()
    {
        NeedNvrtc();
        if (Nvrtc.Version != new Version(11, 8)) Assert.Skip($"needs NVRTC 11.8, with which the embedded kernels were compiled; here is {Nvrtc.Version}");
        string page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "KERNELS.md"));
        string[] now = KernelsDocument.Report(page, Orthrus.Kernels.Program.EncoderLengths).Split('\n'), then = page.Split('\n');
        string? stale = then.Zip(now).Where(l => l.First != l.Second).Select(l => $"{l.First}\nis now\n{l.Second}").FirstOrDefault();
        Assert.True(stale is null && now.Length == then.Length, $"docs/KERNELS.md is stale: dotnet run -c Release --project bench/Orthrus.Kernels -- report docs/KERNELS.md\n{stale}");
    }

    private static string[] Cells(string row) => [.. row.Trim().Trim('|').Split('|').Select(c => c.Trim())];
}
