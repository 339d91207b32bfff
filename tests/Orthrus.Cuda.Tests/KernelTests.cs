using Orthrus.Kernels;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests;

/// <summary>What NVRTC makes of the kernels, on every architecture.</summary>
public sealed class KernelTests
{
    public static TheoryData<string> Sources => new(CudaResources.Sources);

    private static void NeedNvrtc()
    {
        if (!Nvrtc.IsAvailable) Assert.Skip("needs NVRTC 11.8 (set ORTHRUS_CUDA_FOLDERS to its folder)");
        if (Nvrtc.Version != new Version(11, 8)) Assert.Skip($"needs NVRTC 11.8, with which the embedded kernels were compiled; here is {Nvrtc.Version}");
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public void Embedded_PTX_is_what_the_source_compiles_to(string name)
    {
        NeedNvrtc();
        // The compiler's choices among equally good orders are not always the same in two runs; its own variants are then the measure, and the stamp, which
        // holds the hash of everything that went in, tells whether a file was made from this source.
        var source = CudaSource.BuiltIn(name);
        var runs = Enumerable.Range(0, 2).Select(_ => EmbeddedPtx.Of(source, _ => null).ToDictionary(f => f.File, f => f.Text)).ToArray();
        bool steady = runs[0].Count == runs[1].Count && runs[0].All(f => runs[1].GetValueOrDefault(f.Key) == f.Value);
        Assert.NotEmpty(runs[0]);
        foreach (var (file, text) in runs[0])
        {
            string? embedded = CudaResources.Text($"cuda/ptx/{file}");
            bool fresh = steady ? embedded == text : embedded is null ? file.EndsWith(".f32.80.ptx", StringComparison.Ordinal) : embedded.Split('\n')[0] == text.Split('\n')[0];
            Assert.True(fresh, $"cuda/ptx/{file} is stale: dotnet run -c Release --project bench/Orthrus.Kernels -- ptx cuda/ptx");
        }
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public void Every_source_has_a_form_for_every_device_without_NVRTC(string name)
    {
        var source = CudaSource.BuiltIn(name);
        Assert.Contains(CudaVariant.Embedded, v => v is { BFloat16: false, Architecture: 70 } && CudaResources.Ptx(source, v) is not null);
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public void No_kernel_spills_on_any_architecture(string name)
    {
        NeedNvrtc();
        foreach (bool bfloat16 in new[] { false, true })
            foreach (int architecture in StaticFigures.Architectures.Where(a => a >= 80 || !bfloat16))
                foreach (var f in StaticFigures.Of(CudaSource.BuiltIn(name), new CudaVariant(architecture, bfloat16)))
                {
                    Assert.True(f.SpillBytes == 0, $"{name}: {f.Kernel} spills {f.SpillBytes} bytes on sm_{architecture}");
                    Assert.True(f.LocalBytes == 0, $"{name}: {f.Kernel} has {f.LocalBytes} bytes of local memory on sm_{architecture}");
                }
    }

    [Fact]
    public void The_page_of_figures_has_todays_static_table()
    {
        NeedNvrtc();
        string page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "KERNELS.md"));
        Assert.True(page == KernelsDocument.Replace(page, KernelsDocument.StaticMark, KernelsDocument.Static(StaticFigures.All())),
            "docs/KERNELS.md is stale: dotnet run -c Release --project bench/Orthrus.Kernels -- report docs/KERNELS.md");
    }
}
