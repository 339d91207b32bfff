using System.Reflection;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;
using static Orthrus.Cuda.Tests.Shim.ShimChild;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>
/// The real declarations of the driver and NVRTC, through C libraries with the headers' prototypes, on a simulated device: an operator forward and backward,
/// staging, images and their cache, graphs; and what is said where a part of an installation is missing.
/// </summary>
public sealed class LibCudaTests
{
    private const string Gpu = "device cuda:0 (H100 SXM, compute 9.0)";

    [Fact]
    public void Every_function_of_the_driver_works_through_its_declaration()
    {
        string[] lines = In(Shims.Build(), f => Run(new(f)));
        Assert.Equal("ok", lines[0]);
        Assert.Equal(Gpu, lines[1]);
        string[] declared = [.. typeof(LibCuda).GetMethods(BindingFlags.Static | BindingFlags.NonPublic).Where(m => m.Name.StartsWith("cu", StringComparison.Ordinal)).Select(m => m.Name).Distinct().Order(StringComparer.Ordinal)];
        Assert.True(declared.Length > 40);
        Assert.Equal(declared, lines.Where(l => l.StartsWith("called ", StringComparison.Ordinal)).Select(l => l[7..]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_second_of_two_devices()
    {
        Assert.Contains("device cuda:1 (A100, compute 8.0)", In(Shims.Build(), f => Run(new(f, Ordinal: 1))));
        Assert.Equal("DeviceException: there is no CUDA device 2: the driver shows 2, 0 to 1 (CUDA_VISIBLE_DEVICES=3,5 hides others and renumbers)", In(Shims.Build(), f => Run(new(f, Ordinal: 2, Visible: "3,5")))[0]);
    }

    [Fact]
    public void Without_a_driver()
    {
        string line = In(Shims.Build(driver: false), f => Run(new(f)))[0];
        if (line == "ok" || !line.Contains("dlopen", StringComparison.Ordinal) && !line.Contains("no CUDA driver", StringComparison.Ordinal)) Assert.Skip("this machine has a CUDA driver");
        Assert.StartsWith("CudaException: no CUDA driver was found (libcuda.so.1: ", line);
        Assert.EndsWith("); install the NVIDIA driver, or use --device cpu", line);
    }

    [Theory]
    [InlineData(100, "CudaException: cuInit: CUDA_ERROR_NO_DEVICE (100): the driver sees no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, start it with GPUs (--gpus all); or use --device cpu")]
    [InlineData(34, "CudaException: cuInit: CUDA_ERROR_STUB_LIBRARY (34): the library found is the toolkit's link stub, not a driver; take .../lib64/stubs out of LD_LIBRARY_PATH, or install the NVIDIA driver")]
    public void A_driver_that_does_not_start(int code, string expected) => Assert.Equal(expected, In(Shims.Build(), f => Run(new(f, Init: code)))[0]);

    [Fact]
    public void A_driver_older_than_the_PTX_and_one_without_its_compiler()
    {
        Assert.Contains(
            "CudaException: cuModuleLoadDataEx (unary, embedded PTX): CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222): the driver is older than the kernel's PTX; update the NVIDIA driver (520 or newer), or install an NVRTC as old as the driver",
            In(Shims.Build(), f => Run(new(f, DriverVersion: 11070)))[0]);
        Assert.Contains(
            "CudaException: cuModuleLoadDataEx (unary, embedded PTX): CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221): the driver's PTX compiler (libnvidia-ptxjitcompiler.so.1) is missing; "
            + "install it with the driver; in a container, mount it (NVIDIA_DRIVER_CAPABILITIES=compute,utility); or install NVRTC, which needs no PTX compiler",
            In(Shims.Build(), f => Run(new(f, NoCompiler: true)))[0]);
    }

    [Theory]
    // Knows the device: machine code for it. Older than the device: PTX for the newest it knows. Newer than the device, too old, or newer than the driver: the embedded PTX.
    [InlineData("yes", "70,80,90", "", "--gpu-architecture=sm_90")]
    [InlineData("yes", "70,75,80", "", "--gpu-architecture=compute_80")]
    [InlineData("yes", "100,120", "", null)]
    [InlineData("old", "70,80,90", "", null)]
    [InlineData("yes", "70,80,90", "9.0", "--gpu-architecture=sm_90")]
    public void Images_come_from_NVRTC_where_it_fits(string nvrtc, string architectures, string version, string? option)
    {
        string[] lines = In(Shims.Build(nvrtc: nvrtc), f => Run(new(f, Architectures: architectures, PtxVersion: version)));
        Assert.Equal("ok", lines[0]);
        string[] compiled = [.. lines.Where(l => l.StartsWith("compiled ", StringComparison.Ordinal))];
        Assert.Equal(option is null ? [] : [$"compiled unary.cu {option} --std=c++17", $"compiled unary.cu {option} --std=c++17 -DORTHRUS_BF16"], compiled);
    }

    [Theory]
    [InlineData("full", "CudaException: nvrtcCreateProgram: NVRTC_ERROR (1); the host's memory is full: free some and try again")]
    [InlineData("builtins", "CudaException: nvrtcCompileProgram (unary.cu): NVRTC_ERROR (7), NVRTC 12.4 (--gpu-architecture=sm_90 --std=c++17); libnvrtc-builtins of the same version must stand beside {0}/libnvrtc.so.12")]
    public void A_compiler_that_fails_by_itself(string fault, string expected)
    {
        string folder = Shims.Build(nvrtc: "yes");
        Assert.Contains(string.Format(System.Globalization.CultureInfo.InvariantCulture, expected, folder), In(folder, f => Run(new(f, Architectures: "90", Fault: fault)))[0], StringComparison.Ordinal);
    }

    [Fact]
    public void The_cache_is_filled_once_rebuilt_where_damaged_and_not_needed()
    {
        string folder = Shims.Build(nvrtc: "yes");
        In(folder, f =>
        {
            int Compilations(string cache)
            {
                string[] lines = Run(new(f, Architectures: "90", Cache: cache));
                Assert.Equal("ok", lines[0]);
                return lines.Count(l => l.StartsWith("compiled ", StringComparison.Ordinal));
            }

            string cache = Path.Combine(f, "kernels");
            // Two processes at once fill it; neither sees half a file of the other.
            int[] both = new int[2];
            Parallel.For(0, 2, k => both[k] = Compilations(cache));
            Assert.All(both, n => Assert.InRange(n, 0, 2));
            string[] entries = Directory.GetFiles(cache);
            Assert.Equal(2, entries.Length);
            Assert.All(entries, e => Assert.EndsWith(".cubin", e));
            Assert.Equal(0, Compilations(cache));
            byte[] image = File.ReadAllBytes(entries[0]);
            image[image.Length / 2] ^= 1;
            File.WriteAllBytes(entries[0], image);
            File.WriteAllBytes(entries[1], []);
            Assert.Equal(2, Compilations(cache));
            Assert.Equal(0, Compilations(cache));
            // Whole, but nothing that the driver takes: built anew, and that stays.
            CudaImages.Write(entries[0], "no image at all"u8.ToArray());
            Assert.Equal(1, Compilations(cache));
            Assert.Equal(0, Compilations(cache));
            // A folder that cannot be made, as one that cannot be written: slower, no error.
            File.WriteAllText(Path.Combine(f, "file"), "");
            Assert.Equal(2, Compilations(Path.Combine(f, "file", "kernels")));
            return 0;
        });
    }

    // A container whose image was made on a machine with NVRTC. What the library behind NVRTC's functions makes for a real architecture is PTX, since a simulated device runs it: without a compiler
    // that driver refuses it as well, but says where it came from.
    [Fact]
    public void A_filled_cache_is_used_without_NVRTC()
    {
        In(Shims.Build(nvrtc: "yes"), with => In(Shims.Build(), without =>
        {
            string cache = Path.Combine(with, "kernels");
            Assert.Equal("ok", Run(new(with, Architectures: "90", Cache: cache))[0]);
            Assert.Equal("ok", Run(new(without, Cache: cache))[0]);
            string Refused() => Run(new(without, NoCompiler: true, Cache: cache))[0];
            Assert.Contains("cuModuleLoadDataEx (unary, cache): CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221)", Refused(), StringComparison.Ordinal);
            foreach (string entry in Directory.GetFiles(cache)) File.WriteAllBytes(entry, []);
            Assert.Contains("cuModuleLoadDataEx (unary, embedded PTX): CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221)", Refused(), StringComparison.Ordinal);
            return 0;
        }));
    }

    [Fact]
    public void Matrix_products_by_cuBLAS()
    {
        string[] lines = In(Shims.Build(cublas: true), f => Run(new(f, Part: "products")));
        Assert.Equal("ok", lines[0]);
        // Transpositions and types of forward, gradient of x, gradient of the weight; in BF16 with a bias the product is F32.
        Assert.Equal(["product NN 0 0", "product NN 14 14", "product NT 0 0", "product NT 14 0", "product TN 0 0", "product TN 14 0", "product TN 14 14"], lines.Where(l => l.StartsWith("product ", StringComparison.Ordinal)));
        const string name = "cuda:0 (H100 SXM, compute 9.0), ";
        Assert.Contains($"auto {name}matrix products of cuBLAS 12.4.5 (own in embedding)", lines);
        Assert.Contains($"cublas {name}matrix products of cuBLAS 12.4.5", lines);
        Assert.Contains($"own {name}own matrix products", lines);
        Assert.Contains("by cuBLAS 0", lines);
        Assert.Contains($"embedding Own False {name}F32, own matrix products", lines);
        Assert.Contains($"embedding Auto False {name}F32, own matrix products", lines);
        Assert.Contains($"embedding Cublas True {name}F32, matrix products of cuBLAS 12.4.5", lines);
    }

    [Fact]
    public void Without_cuBLAS_and_with_one_that_does_not_start()
    {
        string line = In(Shims.Build(), f => Run(new(f, Part: "products")))[0];
        if (line == "ok") Assert.Skip("this machine has cuBLAS");
        Assert.StartsWith("CudaException: cuBLAS was not found (libcublas.so.13: ", line);
        Assert.EndsWith("); install it (libcublas of CUDA 11.8 to 13, with libcublasLt), name its folder in ORTHRUS_CUDA_FOLDERS, or use --gemm own", line);
        Assert.Equal(
            "CudaException: cublasCreate_v2 (cuda:0 (H100 SXM, compute 9.0)): CUBLAS_STATUS_NOT_INITIALIZED (1): the library could not start on this device; install a cuBLAS of the driver's CUDA version, or use --gemm own, which needs no cuBLAS",
            In(Shims.Build(cublas: true), f => Run(new(f, Part: "products", CublasStart: 1)))[0]);
    }

    [Fact]
    public void ManagedCuda_users_share_context_memory_and_streams()
    {
        string[] lines = In(Shims.Build(), f => Run(new(f, Part: "owner")));
        Assert.Equal("ok", lines[0]);
        Assert.Equal(["silu 0.73106", "relu 0 2 0 4", "event"], lines[2..5]);
    }

    private static T In<T>(string folder, Func<string, T> run)
    {
        try
        {
            return run(folder);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
