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
        var source = CudaSource.BuiltIn(name);
        var stale = EmbeddedPtx.Stale(source, Committed, () => EmbeddedPtx.Of(source, _ => null), Nvrtc.Version.ToString(), Path.Combine(CudaImages.CacheFolder(), "fresh"));
        Assert.True(stale.Count == 0, $"{string.Join(", ", stale.Select(f => $"cuda/ptx/{f}"))}: not what {EmbeddedPtx.MostCompilations} compilations gave; dotnet run -c Release --project bench/Orthrus.Kernels -- ptx cuda/ptx");
    }

    private static string? Committed(string file) => CudaResources.Text($"cuda/ptx/{file}");

    [Fact]
    public void Fresh_PTX_is_remembered_and_an_unsteady_compiler_gets_five_chances()
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-fresh").FullName;
        try
        {
            var source = CudaSource.BuiltIn("unary");
            var committed = CudaVariant.Embedded.Select(v => $"unary.{v}.ptx").Where(f => Committed(f) is not null).ToDictionary(f => f, f => Committed(f)!);
            Assert.True(committed.Count >= 2);
            int runs = 0;
            // Only the given run, counted from one, yields the committed files.
            IReadOnlyList<string> Stale(int right, string compiler = "11.8", Func<string, string?>? embedded = null)
            {
                runs = 0;
                return EmbeddedPtx.Stale(source, embedded ?? Committed, () =>
                {
                    runs++;
                    return committed.Select(f => (f.Key, runs == right ? f.Value : f.Value + "// another order\n"));
                }, compiler, folder);
            }
            Assert.Equal(committed.Keys.Order(), Stale(0));
            Assert.Equal(EmbeddedPtx.MostCompilations, runs);
            Assert.Empty(Stale(5));
            Assert.Equal(5, runs);
            Assert.Empty(Stale(0));
            Assert.Equal(0, runs);
            // Another compiler, or other bytes, and it is looked at again: a stamp that fits proves nothing.
            Assert.Empty(Stale(1, "12.0"));
            Assert.Equal(1, runs);
            string changed = committed.Keys.First();
            Assert.Equal([changed], Stale(1, embedded: f => f == changed ? Committed(f) + " " : Committed(f)));
            Assert.Equal(EmbeddedPtx.MostCompilations, runs);
            // A file too many, or too few.
            string none = CudaVariant.Embedded.Select(v => $"unary.{v}.ptx").First(f => !committed.ContainsKey(f));
            Assert.Equal([none], Stale(1, embedded: f => f == none ? "text" : Committed(f)));
            Assert.Equal([changed], Stale(1, embedded: f => f == changed ? null : Committed(f)));
        }
        finally
        {
            Directory.Delete(folder, true);
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
                    Assert.True(f.Registers <= RegisterBudgets.MostOf(f.Kernel), $"{name}: {f.Kernel} takes {f.Registers} registers on sm_{architecture}; its budget is {RegisterBudgets.MostOf(f.Kernel)}");
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
