using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>The example that simulates any kernel: what it prints of a right one, a race and bank conflicts, and how it refuses.</summary>
public sealed class SimulateYourKernelTests
{
    private static readonly string Kernels = Path.Combine(TestPaths.Repository, "examples", "SimulateYourKernel", "kernels");

    private static ShellResult Run(params string[] arguments) =>
        Shell.Run(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "SimulateYourKernel.exe" : "SimulateYourKernel"), arguments, Kernels);

    [Theory]
    [InlineData("block_sums.ptx")]
    [InlineData("block_sums.cu")]
    public void A_right_kernel_runs_and_is_counted(string file)
    {
        if (file.EndsWith(".cu", StringComparison.Ordinal) && !Nvrtc.IsAvailable) Assert.Skip("needs NVRTC (set ORTHRUS_CUDA_FOLDERS to its folder)");
        var result = Run(file, "--grid", "4", "--block", "256", "f32[1000]:iota", "f32[4]:none", "i32:1000", "--show", "4", "--registers", "16");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("argument 2: 32640 98176 163712 204972", result.Output);
        // 125 sectors of numbers and one of sums, read and written without waste.
        Assert.Matches(@"global loads +32 +125 +125 +1\.00 sectors", result.Output);
        Assert.Contains("DRAM: 4,000 bytes read, 32 written", result.Output);
        foreach (string device in new[] { "A100", "L4", "RTX 4090", "H100 SXM" }) Assert.Matches($@"(?m)^{device} +\w+ [\d.]+ us.*; 64 warps resident|{device} .*; 48 warps resident", result.Output);
    }

    [Fact]
    public void A_race_is_named_with_its_place()
    {
        var result = Run("race.ptx", "--grid", "4", "--block", "256", "f32[1000]:iota", "f32[4]:none", "i32:1000");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("check failed, SharedRace: race, PTX line", result.Error);
        Assert.Matches(@"kernel race, PTX line \d+, block \(\d,0,0\), thread \(\d+,0,0\), address 0x", result.Error);
    }

    [Fact]
    public void Bank_conflicts_show_in_the_ratio()
    {
        var result = Run("transpose.ptx", "--grid", "2,2", "--block", "32,8", "f32[4096]:random", "f32[4096]:none", "i32:64");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Matches(@"shared loads +128 +4,096 +128 +32\.00 bank cycles", result.Output);
        Assert.Matches(@"shared stores +128 +128 +128 +1\.00 bank cycles", result.Output);
    }

    // Copies 8 bytes a thread from one buffer to another and adds the struct's first word to the first byte of each, so that every type passes through.
    private const string Types = """
        .version 7.8
        .target sm_80
        .address_size 64
        .visible .entry types(.param .u64 out, .param .u64 in, .param .align 4 .b8 s[8]) {
        .reg .b64 %rd<8>; .reg .b32 %r<4>; .reg .b16 %h<2>;
        ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [in]; ld.param.u32 %r2, [s+4];
        mov.u32 %r1, %tid.x; mul.wide.u32 %rd3, %r1, 8; add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3;
        ld.global.u64 %rd6, [%rd5]; cvt.u64.u32 %rd7, %r2; add.u64 %rd6, %rd6, %rd7; st.global.u64 [%rd4], %rd6;
        ret;
        }
        """;

    [Theory]
    [InlineData("u8[16]:iota", "u8[16]:none", "7 1 2 3 4 5 6 7 15 9 10")]
    [InlineData("i8[16]:-5", "i8[16]:none", "2 -4 -5 -5")]
    [InlineData("i16[8]:-300", "i16[8]:none", "-293 -300 -300 -300 -293 -300")]
    [InlineData("u16[8]:65000", "u16[8]:none", "65007 65000 65000 65000 65007")]
    [InlineData("u64[2]:18446744073709551600", "u64[2]:none", "18446744073709551607 18446744073709551607")]
    [InlineData("i64[2]:-9223372036854775808", "i64[2]:none", "-9223372036854775801 -9223372036854775801")]
    [InlineData("f16[8]:1.5", "f16[8]:none", "1.5068359 1.5 1.5 1.5 1.5068359")]
    [InlineData("bf16[8]:1.5", "bf16[8]:none", "1.5546875 1.5 1.5 1.5 1.5546875")]
    [InlineData("bf16[8]:0.33333", "u16[8]:none", "16050 16043 16043 16043 16050")]
    public void Buffers_of_every_type_and_raw_bytes(string source, string target, string shown)
    {
        string file = Path.Combine(Path.GetTempPath(), $"types-{Guid.NewGuid():N}.ptx");
        File.WriteAllText(file, Types);
        try
        {
            var result = Run(file, "--grid", "1", "--block", "2", target, source, "bytes:ffffffff07000000", "--show", $"{shown.Split(' ').Length}");
            Assert.True(result.ExitCode == 0, result.ToString());
            Assert.Contains($"argument 1: {shown}", result.Output);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void A_target_beyond_the_device_is_refused()
    {
        string file = Path.Combine(Path.GetTempPath(), $"types-{Guid.NewGuid():N}.ptx");
        File.WriteAllText(file, Types.Replace("sm_80", "sm_90", StringComparison.Ordinal));
        try
        {
            string[] launch = [file, "--grid", "1", "--block", "2", "u64[2]:none", "u64[2]:1", "bytes:0000000001000000", "--device"];
            Assert.Equal(0, Run([.. launch, "H100 SXM"]).ExitCode);
            var refused = Run([.. launch, "A100"]);
            Assert.Equal(3, refused.ExitCode);
            Assert.Contains("PTX line 2: the PTX is for sm_90, the device (A100) is sm_80: compile for compute_80 or less", refused.Error);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Memory_that_nobody_wrote_is_found()
    {
        var result = Run("transpose.ptx", "--grid", "1", "--block", "32,8", "f32[1024]:none", "f32[1024]:none", "i32:32");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("check failed, Uninitialised", result.Error);
    }

    [Theory]
    [InlineData(2, "--grid and --block are needed", "race.ptx")]
    [InlineData(2, "'f8:1' is no argument", "race.ptx", "--grid", "1", "--block", "32", "f8:1")]
    [InlineData(2, "'300' in 'u8:300' is no number of type u8", "race.ptx", "--grid", "1", "--block", "32", "u8:300")]
    [InlineData(2, "raw bytes are pairs of hexadecimal digits", "race.ptx", "--grid", "1", "--block", "32", "bytes:0")]
    [InlineData(2, "argument 3 has 8 bytes, parameter 'race_param_2' of race 4", "race.ptx", "--grid", "1", "--block", "32", "f32[32]:1", "f32[1]:none", "i64:1")]
    [InlineData(2, "do not fit: the device has ", "race.ptx", "--grid", "1", "--block", "32", "f32[99999999999]:1", "f32[1]:none", "i32:1")]
    [InlineData(2, "do not fit: the device has 42949672960 bytes", "race.ptx", "--grid", "1", "--block", "32", "--device", "A100", "f32[99999999999]:none", "f32[1]:none", "i32:1")]
    [InlineData(2, "no device 'T4'; there are A100, L4", "race.ptx", "--grid", "1", "--block", "32", "--device", "T4")]
    [InlineData(3, "absent.ptx", "absent.ptx", "--grid", "1", "--block", "32")]
    [InlineData(3, "there is no kernel 'other'; there are race", "race.ptx", "--grid", "1", "--block", "32", "--kernel", "other")]
    [InlineData(2, "race has 3 parameters (8 bytes, 8 bytes, 4 bytes), 2 arguments are given", "race.ptx", "--grid", "1", "--block", "32", "f32[32]:1", "f32[1]:none")]
    public void What_it_cannot_do_it_says(int code, string message, params string[] arguments)
    {
        var result = Run(arguments);
        Assert.Equal(code, result.ExitCode);
        Assert.Contains(message, result.Error);
    }
}
