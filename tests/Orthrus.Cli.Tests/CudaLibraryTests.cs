using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>orthrus info with libraries that answer as real ones do: built here from C, found through the environment.</summary>
public class CudaLibraryTests
{
    // What the driver's functions look like to a caller; the bodies answer as the three kinds of installation do.
    private const string Source = """
        #include <string.h>
        #include <stddef.h>
        int cuInit(unsigned flags) { return INIT; }
        int cuDriverGetVersion(int* v) { *v = 12040; return 0; }
        int cuDeviceGetCount(int* n) { *n = 1; return 0; }
        int cuDeviceGet(int* d, int i) { *d = i; return 0; }
        int cuDeviceGetName(char* s, int n, int d) { strncpy(s, "Test GPU", n); return 0; }
        int cuDeviceTotalMem_v2(size_t* n, int d) { *n = (size_t)80 << 30; return 0; }
        #ifndef OLD
        int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 75 ? 9 : a == 76 ? 0 : a == 16 ? 132 : -1; return 0; }
        #endif
        """;

    [Theory]
    [InlineData("-DINIT=0", "supports CUDA 12.4", "cuda:0: Test GPU, compute 9.0, 132 SMs, 81,920 MB")]
    [InlineData("-DINIT=100", "cuInit: CUDA_ERROR_NO_DEVICE (100)", "cuda: none, cuInit: CUDA_ERROR_NO_DEVICE (100)")]
    [InlineData("-DINIT=34", "cuInit: CUDA_ERROR_STUB_LIBRARY (34)", "cuda: none, cuInit: CUDA_ERROR_STUB_LIBRARY (34)")]
    [InlineData("-DINIT=803", "cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)", "cuda: none, cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)")]
    [InlineData("-DINIT=0 -DOLD", "cuDeviceGetAttribute", "this driver is too old (CUDA 11.8, driver 520, is the oldest); update the NVIDIA driver")]
    public void The_driver_and_its_devices_are_described(string defines, string expected, string device)
    {
        if (OperatingSystem.IsWindows() || Shell.Find("gcc") is null) Assert.Skip("needs gcc");
        string folder = Directory.CreateTempSubdirectory("orthrus-cuda-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "driver.c"), Source);
            var built = Shell.Run("gcc", ["-shared", "-fPIC", .. defines.Split(' '), "-o", "libcuda.so.1", "driver.c"], folder, new Dictionary<string, string>(), seconds: 60);
            Assert.True(built.ExitCode == 0, built.ToString());
            var environment = new Dictionary<string, string> { ["ORTHRUS_CUDA_FOLDERS"] = folder };
            string line = DriverLine(environment);
            Assert.Contains(Path.Combine(folder, "libcuda.so.1"), line);
            Assert.Contains(expected, line);
            Assert.Contains(device, string.Join('\n', Lines(environment).Where(l => l.StartsWith("device ", StringComparison.Ordinal))));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void Without_a_driver_every_name_tried_is_listed()
    {
        string line = DriverLine([]);
        if (line.Contains("found: ", StringComparison.Ordinal)) Assert.Skip("this machine has a CUDA driver");
        Assert.Contains("not found, and not needed on the CPU", line);
        Assert.Contains(OperatingSystem.IsWindows() ? "nvcuda.dll: " : "libcuda.so.1: ", line);
    }

    // The library of a driver on a machine without GPU, as Debian's package has it.
    [Fact]
    public void NVIDIA_s_own_library_without_a_GPU()
    {
        string folder = Environment.GetEnvironmentVariable("ORTHRUS_TEST_DRIVER") ?? "";
        if (!File.Exists(Path.Combine(folder, "libcuda.so.1"))) Assert.Skip("needs libcuda.so.1 of an NVIDIA driver (set ORTHRUS_TEST_DRIVER to its folder; Debian: libcuda1)");
        var environment = new Dictionary<string, string> { ["ORTHRUS_CUDA_FOLDERS"] = folder };
        string line = DriverLine(environment);
        if (line.Contains("supports CUDA", StringComparison.Ordinal) && Lines(environment).Any(l => l.Contains("cuda:0", StringComparison.Ordinal))) Assert.Skip("this machine has a GPU");
        Assert.Contains("cuInit: CUDA_ERROR_NO_DEVICE (100)", line);
        var selftest = Orthrus(["selftest", "--device", "cuda"], environment);
        Assert.Equal(4, selftest.ExitCode);
        Assert.StartsWith("orthrus: cuInit: CUDA_ERROR_NO_DEVICE (100): the driver sees no GPU; check nvidia-smi", selftest.Error);
        Assert.Single(selftest.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    private static string DriverLine(Dictionary<string, string> environment) => Lines(environment).Single(l => l.StartsWith("CUDA driver", StringComparison.Ordinal));

    private static string[] Lines(Dictionary<string, string> environment)
    {
        var result = Orthrus(["info"], environment);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result.Output.Split('\n');
    }

    private static ShellResult Orthrus(string[] arguments, Dictionary<string, string> environment) =>
        Shell.Run(ChildProcess.Executable, arguments, AppContext.BaseDirectory, environment, seconds: 60);
}
