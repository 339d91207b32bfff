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
        var files = EmbeddedPtx.Of(CudaSource.BuiltIn(name), _ => null).ToArray();
        Assert.NotEmpty(files);
        foreach (var (file, text) in files) Assert.True(CudaResources.Text($"cuda/ptx/{file}") == text, $"cuda/ptx/{file} is stale: dotnet run -c Release --project bench/Orthrus.Kernels -- ptx cuda/ptx");
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
