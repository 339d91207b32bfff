using System.Runtime.InteropServices;

namespace Orthrus.PtxSim.Tests;

/// <summary>Hand-written PTX: single instructions on lanes, and whole kernels.</summary>
internal static class Ptx
{
    public const string Head = ".version 7.8\n.target sm_80\n.address_size 64\n";

    public const string Registers = """
        .reg .pred %p<20>; .reg .b16 %h<20>; .reg .b32 %r<90>; .reg .b32 %q<10>; .reg .b64 %rd<60>;
        """;

    /// <summary>
    /// Runs instructions on cases (a, b, c), one a lane: %rd10, %rd11, %rd12 hold them, %r10 to %r12 their low halves, the result is %r20 or %rd20
    /// (whichever <paramref name="wide"/> says). Runs once with the cases alone, once repeated over a full warp; both must agree.
    /// </summary>
    public static ulong[] Lanes(string body, bool wide, params (ulong A, ulong B, ulong C)[] cases)
    {
        string text = Head + ".visible .entry k(.param .u64 out, .param .u64 in) {\n" + Registers + """

            ld.param.u64 %rd1, [in]; ld.param.u64 %rd2, [out]; mov.u32 %r1, %tid.x;
            mul.wide.u32 %rd3, %r1, 24; add.s64 %rd4, %rd1, %rd3; mul.wide.u32 %rd5, %r1, 8; add.s64 %rd6, %rd2, %rd5;
            ld.global.u64 %rd10, [%rd4]; ld.global.u64 %rd11, [%rd4+8]; ld.global.u64 %rd12, [%rd4+16];
            cvt.u32.u64 %r10, %rd10; cvt.u32.u64 %r11, %rd11; cvt.u32.u64 %r12, %rd12;
            mov.u32 %r20, 0; mov.u64 %rd20, 0;

            """ + body + (wide ? "\nst.global.u64 [%rd6], %rd20;" : "\ncvt.u64.u32 %rd21, %r20; st.global.u64 [%rd6], %rd21;") + "\nret;\n}\n";
        ulong[] alone = Run(text, cases);
        var repeated = new (ulong, ulong, ulong)[32];
        for (int l = 0; l < 32; l++)
            repeated[l] = cases[l % cases.Length];
        ulong[] full = Run(text, repeated);
        for (int l = 0; l < 32; l++)
            Assert.Equal(alone[l % cases.Length], full[l]);
        return alone;
    }

    public static uint One(string body, uint a, uint b = 0, uint c = 0) => (uint)Lanes(body, false, (a, b, c))[0];

    public static ulong OneWide(string body, ulong a, ulong b = 0, ulong c = 0) => Lanes(body, true, (a, b, c))[0];

    public static float OneFloat(string body, float a, float b = 0, float c = 0) =>
        BitConverter.UInt32BitsToSingle(One(body, BitConverter.SingleToUInt32Bits(a), BitConverter.SingleToUInt32Bits(b), BitConverter.SingleToUInt32Bits(c)));

    /// <summary>A kernel k(out, in, n) with its usual registers; %rd1 is out, %rd2 in, %r1 the thread, %r2 the block, %r3 = n, %r4 the lane. Shared memory of the module is named buf.</summary>
    public static string Kernel(string body, string declarations = "", string module = "") => Head + module + "\n.visible .entry k(.param .u64 out, .param .u64 in, .param .u32 n) {\n" + declarations + Registers + """

        ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [in]; ld.param.u32 %r3, [n];
        mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r4, %laneid;
        """ + (module.Contains(" buf[", StringComparison.Ordinal) ? "mov.u32 %q9, buf;\n" : "\n") + body + "\nret;\n}\n";

    /// <summary>Runs such a kernel; out has <paramref name="results"/> words, zero at first.</summary>
    public static (uint[] Out, LaunchReport Report) Run(string text, uint[] input, int results, Dim3 grid, Dim3 block, int shared = 0, int n = 0, SimOptions? options = null)
    {
        using var device = new SimDevice(null, options ?? new SimOptions { MemoryBytes = 1 << 26 });
        SimKernel kernel = device.Load(PtxModule.Parse(text))["k"];
        ulong from = device.Alloc(Math.Max(4, input.Length * 4), "input"), to = device.Alloc(results * 4, "output");
        device.CopyToDevice<uint>(from, input);
        device.Fill(to, 0, results * 4);
        LaunchReport report = device.Launch(kernel, grid, block, shared, to, from, n);
        return (device.Read<uint>(to, results), report);
    }

    /// <summary>The fault that such a kernel must end with.</summary>
    public static SimFault Fault(string text, FaultKind kind, Dim3 grid, Dim3 block, int shared = 0, int words = 1024)
    {
        using var device = new SimDevice(null, new SimOptions { MemoryBytes = 1 << 26 });
        SimKernel kernel = device.Load(PtxModule.Parse(text))["k"];
        ulong from = device.Alloc(words * 4, "input"), to = device.Alloc(words * 4, "output");
        device.Fill(from, 0, words * 4);
        SimFault fault = Assert.Throws<SimFault>(() => device.Launch(kernel, grid, block, shared, to, from, words));
        Assert.Equal(kind, fault.Kind);
        Assert.Equal("k", fault.Kernel);
        Assert.Contains("k, PTX line ", fault.Message, StringComparison.Ordinal);
        Assert.True(fault.Line > 3);
        return fault;
    }

    public static string File(string name) => System.IO.File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "kernels", name));

    private static ulong[] Run(string text, (ulong A, ulong B, ulong C)[] cases)
    {
        using var device = new SimDevice(null, new SimOptions { MemoryBytes = 1 << 20 });
        SimKernel kernel = device.Load(PtxModule.Parse(text))["k"];
        ulong from = device.Alloc(cases.Length * 24), to = device.Alloc(cases.Length * 8);
        device.CopyToDevice(from, MemoryMarshal.Cast<(ulong, ulong, ulong), ulong>(cases));
        device.Launch(kernel, 1, cases.Length, 0, to, from);
        return device.Read<ulong>(to, cases.Length);
    }
}
