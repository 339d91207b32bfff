using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor.Tests.Cuda;

/// <summary>Where NVIDIA's libraries are looked for, and what is said when they are not there.</summary>
public class NativeLibrariesTests
{
    public static TheoryData<string, bool> Libraries() => new() { { NativeLibraries.Driver, false }, { NativeLibraries.Driver, true }, { NativeLibraries.Nvrtc, false }, { NativeLibraries.Nvrtc, true }, { NativeLibraries.CuBlas, false }, { NativeLibraries.CuBlas, true } };

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Every_name_tried_has_a_reason(string library, bool windows)
    {
        var (status, handle) = NativeLibraries.Find(library, [], windows);
        if (status.Found) Assert.Skip($"this machine has {status.Path}");
        Assert.Equal(0, handle);
        Assert.Equal(NativeLibraries.Candidates(library, windows).Names, status.Attempts.Select(a => a.Candidate));
        Assert.All(status.Attempts, a => Assert.True(a.Reason.Length > 0 && !a.Reason.Contains('\n'), a.Reason));
        Assert.Contains(status.Attempts[0].Candidate, status.Why);
    }

    [Fact]
    public void A_file_that_is_no_library_is_named_with_the_loader_s_reason()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("names of Linux");
        string folder = Directory.CreateTempSubdirectory("orthrus-cuda-").FullName;
        try
        {
            string file = Path.Combine(folder, "libnvrtc.so.12");
            File.WriteAllText(file, "not a library, but longer than the header of one, so that the loader reads it");
            var (status, _) = NativeLibraries.Find(NativeLibraries.Nvrtc, [(folder, true)], false);
            var attempt = status.Attempts[0];
            Assert.Equal(file, attempt.Candidate);
            Assert.Contains("ELF", attempt.Reason);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void Every_code_has_a_meaning_and_a_remedy()
    {
        foreach (var code in Enum.GetValues<CudaResult>())
        {
            var info = CudaErrors.Describe(code);
            Assert.StartsWith("CUDA_", info.Name);
            Assert.True(info.Meaning.Length > 5 && info.Remedy.Length > 5, info.Name);
        }
        Assert.Contains("4711", CudaErrors.Describe((CudaResult)4711).Name);
        var e = new CudaException("cuInit", CudaResult.NoDevice);
        Assert.Equal("cuInit: CUDA_ERROR_NO_DEVICE (100): the driver sees no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, start it with GPUs (--gpus all); or use --device cpu", e.Message);
        Assert.False(e.IsSticky);
        Assert.True(new CudaException("cuLaunchKernel", CudaResult.IllegalAddress).IsSticky);
    }
}
