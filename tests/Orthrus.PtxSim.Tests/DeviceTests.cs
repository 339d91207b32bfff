namespace Orthrus.PtxSim.Tests;

/// <summary>Memory, pools, limits, errors of the host side; text that is no PTX or not supported.</summary>
public class DeviceTests
{
    private static readonly string Copy = Ptx.Kernel("mul.wide.u32 %rd3, %r1, 4; add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3; ld.global.b32 %r20, [%rd5]; st.global.b32 [%rd4], %r20;");

    private static SimDevice Small() => new(SimDeviceSpec.A100, new SimOptions { MemoryBytes = 1 << 20 });

    [Fact]
    public void MemoryRunsOutAndComesBack()
    {
        using SimDevice device = Small();
        ulong a = device.Alloc(1 << 19);
        SimFault fault = Assert.Throws<SimFault>(() => device.Alloc((1 << 19) + 1, "too much"));
        Assert.Equal(FaultKind.OutOfMemory, fault.Kind);
        Assert.Contains("'too much' do not fit: 524288 of 1048576", fault.Message, StringComparison.Ordinal);
        device.Free(a);
        Assert.Contains("'all' do not fit: the device has 1048576 bytes", Assert.Throws<SimFault>(() => device.Alloc((1 << 20) + 1, "all")).Message, StringComparison.Ordinal);
        Assert.Equal(0, device.UsedBytes);
        device.Free(device.Alloc(1 << 20));
        Assert.Equal(0, device.LiveBlocks);
    }

    [Fact]
    public void FreedMemoryIsUseAfterFree()
    {
        using SimDevice device = Small();
        SimKernel kernel = device.Load(PtxModule.Parse(Copy))["k"];
        ulong a = device.Alloc(128, "old"), b = device.Alloc(128, "new");
        device.Fill(b, 1, 128);
        device.Free(a);
        SimFault fault = Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 32, 0, a, b, 0));
        Assert.Equal(FaultKind.UseAfterFree, fault.Kind);
        Assert.Contains("inside 'old' of 128 bytes, freed or returned", fault.Message, StringComparison.Ordinal);
        // The device stays unusable until it is reset.
        Assert.Contains("an earlier launch failed", Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 32, 0, b, b, 0)).Message, StringComparison.Ordinal);
        device.Reset();
        device.Launch(kernel, 1, 32, 0, b, b, 0);
        Assert.Throws<SimFault>(() => device.Free(a));
        Assert.Equal(FaultKind.UseAfterFree, Assert.Throws<SimFault>(() => device.Fill(a, 0, 4)).Kind);
        Assert.Equal(FaultKind.HostCall, Assert.Throws<SimFault>(() => device.Fill(b, 0, 129)).Kind);
    }

    [Fact]
    public void PoolsHandOutUninitialisedBlocksAndTakeThemBack()
    {
        using SimDevice device = Small();
        SimKernel kernel = device.Load(PtxModule.Parse(Copy))["k"];
        ulong slab = device.Alloc(4096, "slab"), source = device.Alloc(128, "source");
        device.Fill(source, 2, 128);
        device.Carve(slab, 128, "first");
        device.Carve(slab + 512, 128, "second");
        Assert.Throws<SimFault>(() => device.Carve(slab + 64, 128, "overlap"));
        device.Launch(kernel, 1, 32, 0, slab, source, 0);
        Assert.True(device.IsInitialised(slab, 128));
        Assert.False(device.IsInitialised(slab + 512, 4));
        Assert.Equal(FaultKind.OutOfBounds, Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 64, 0, slab, slab, 0)).Kind);
        device.Reset();
        device.Return(slab);
        Assert.Equal(FaultKind.UseAfterFree, Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 32, 0, source, slab, 0)).Kind);
        device.Reset();
        device.Carve(slab, 256, "third");
        SimFault fault = Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 32, 0, source, slab, 0));
        Assert.Equal(FaultKind.Uninitialised, fault.Kind);
        Assert.Contains("'third'", fault.Message, StringComparison.Ordinal);
        Assert.Equal(uint.MaxValue, device.Read<uint>(slab, 1)[0]);
        device.Free(slab);
    }

    [Fact]
    public void CopiesOnTheDeviceKeepWhatIsUninitialised()
    {
        using SimDevice device = Small();
        ulong a = device.Alloc(64), b = device.Alloc(64);
        device.CopyToDevice<byte>(a + 1, [1, 2, 3]);
        device.CopyDevice(b, a, 64);
        Assert.False(device.IsInitialised(b, 1));
        Assert.True(device.IsInitialised(b + 1, 3));
        Assert.False(device.IsInitialised(b + 4, 1));
        Assert.Equal<byte>([255, 1, 2, 3, 255], device.Read<byte>(b, 5));
        device.Fill32(b, 7, 16);
        Assert.Equal(7u, device.Read<uint>(b, 16)[15]);
    }

    [Fact]
    public void SharedVariablesCountForTheKernelsThatNameThem()
    {
        // As compilers write modules in which one kernel has dynamic shared memory: everything at module scope.
        const string Text = Ptx.Head + """
            .shared .align 16 .b8 first[40000];
            .shared .align 4 .b8 second[8];
            .shared .align 4 .b8 third[16];
            .extern .shared .align 16 .b8 dynamic[];
            .func inner() { .reg .b32 %r<2>; mov.u32 %r1, third; st.shared.u32 [%r1], 1; ret; }
            .visible .entry large() { .reg .b32 %r<2>; mov.u32 %r1, first; st.shared.u32 [%r1+39996], 1; ret; }
            .visible .entry small() { .reg .b32 %r<2>; st.shared.u32 [second+4], 1; call.uni inner, (); ret; }
            .visible .entry open() { .reg .b32 %r<2>; mov.u32 %r1, dynamic; st.shared.u32 [%r1+28], 1; ret; }
            """;
        using SimDevice device = Small();
        SimModule module = device.Load(PtxModule.Parse(Text));
        Assert.Equal(40000, module["large"].StaticShared);
        Assert.Equal(24, module["small"].StaticShared);
        Assert.Equal(0, module["open"].StaticShared);
        device.Launch(module["large"], 1, 32, 0);
        device.Launch(module["small"], 1, 32, 0);
        Assert.Equal(32, device.Launch(module["open"], 1, 32, 32).SharedBytes);
    }

    [Fact]
    public void LaunchesBeyondTheLimits()
    {
        using SimDevice device = Small();
        SimKernel kernel = device.Load(PtxModule.Parse(Ptx.Kernel("bar.sync 0;", module: ".extern .shared .align 16 .b8 dynamic[];")))["k"];
        ulong p = device.Alloc(4);

        void Refused(string why, Dim3 grid, Dim3 block, int shared)
        {
            SimFault fault = Assert.Throws<SimFault>(() => device.Launch(kernel, grid, block, shared, p, p, 0));
            Assert.Equal(FaultKind.LaunchLimit, fault.Kind);
            Assert.Contains(why, fault.Message, StringComparison.Ordinal);
        }

        Refused("1024", 1, 1025, 0);
        Refused("(1024,1024,64)", 1, new Dim3(1, 1, 65), 0);
        Refused("a grid of (1,65536,1)", new Dim3(1, 65536), 32, 0);
        Refused("a grid of (0,1,1)", 0, 32, 0);
        Refused("raise MaxDynamicShared", 1, 32, (48 * 1024) + 1);
        kernel.MaxDynamicShared = 1 << 20;
        device.Launch(kernel, 1, 32, 163 * 1024, p, p, 0);
        Refused("has 166912 for a block", 1, 32, (163 * 1024) + 1);
        kernel.RegistersPerThread = 65;
        Refused("65 registers", 1, 1024, 0);
        device.Launch(kernel, 1, 896, 0, p, p, 0);
        Assert.Contains("2 arguments for 3", Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 32, 0, p, p)).Message, StringComparison.Ordinal);
        Assert.Contains("argument 3 has 8 bytes", Assert.Throws<SimFault>(() => device.Launch(kernel, 1, 32, 0, p, p, 1L)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tex.2d.v4.f32.f32 {%r1,%r1,%r1,%r1}, [%rd1, {%r1,%r1}];", "")]
    [InlineData("wgmma.fence.sync.aligned;", "'wgmma.fence.sync.aligned' is not supported")]
    [InlineData("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1,%r1,%r1,%r1}, {%r1,%r1,%r1,%r1}, {%r1,%r1}, {%r1,%r1,%r1,%r1};", "'mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32' is not supported")]
    [InlineData("mbarrier.init.shared.b64 [%r1], 32;", "'mbarrier.init.shared.b64' is not supported")]
    [InlineData("createpolicy.fractional.L2::evict_last.b64 %rd1, 1.0;", "'createpolicy.fractional.L2::evict_last.b64' is not supported")]
    [InlineData("ld.global.L2::cache_hint.b32 %r2, [%rd1], %rd2;", "'ld.global.L2::cache_hint.b32' is not supported")]
    [InlineData("cvt.rn.satfinite.e4m3x2.f32 %h1, %r1, %r1;", "'cvt.rn.satfinite.e4m3x2.f32' is not supported")]
    [InlineData("vadd.u32.u32.u32 %r1, %r1, %r1;", "'vadd.u32.u32.u32' is not supported")]
    [InlineData("elect.sync %r1|%p1, -1;", "'elect.sync' is not supported")]
    [InlineData("red.global.v2.f32.add [%rd1], {%r1, %r1};", "'red.global.v2.f32.add' is not supported")]
    [InlineData("min.xorsign.abs.f32 %r1, %r1, %r1;", "'min.xorsign.abs.f32' is not supported")]
    [InlineData("add.rz.f64 %rd1, %rd1, %rd1;", "'add.rz.f64' is not supported")]
    [InlineData("add.u32 %nothing, %r1, %r1;", "'%nothing' is neither a register")]
    [InlineData("bra NOWHERE;", "no label 'NOWHERE'")]
    [InlineData("add.u32 %r1 %r1, %r1;", "expected ';'")]
    [InlineData("call.uni missing, (%r1);", "no function 'missing'")]
    public void WhatIsNotUnderstoodIsNamedWithItsLine(string body, string message)
    {
        string text = Ptx.Head + ".visible .entry k() {\n" + Ptx.Registers + "\nmov.u32 %r1, 0;\n" + body + "\nret;\n}\n";
        int line = text[..text.IndexOf(body, StringComparison.Ordinal)].Count(c => c == '\n') + 1;
        using SimDevice device = Small();
        PtxException error = Assert.Throws<PtxException>(() => device.Load(PtxModule.Parse(text))["k"]);
        Assert.Equal(line, error.Line);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    // Families in blocks, as inline assembly declares them.
    [InlineData("{ .reg .b32 a<8>; mov.b32 a0, 7; mov.b32 a7, 5; add.u32 %r20, a0, a7; }", 12u)]
    [InlineData("{ .reg .pred q<2>; setp.lt.u32 q1, %r10, 5; @q1 mov.b32 %r20, 3; @!q1 mov.b32 %r20, 4; }", 3u)]
    [InlineData("{ .reg .b32 a<2>; mov.b32 a1, 7; { .reg .b32 a<2>; mov.b32 a1, 9; add.u32 %r20, a1, %r20; } add.u32 %r20, a1, %r20; }", 16u)]
    // A family hides only its own numbers; a single register nothing but its name.
    [InlineData("{ .reg .b32 a<12>; mov.b32 a11, 7; { .reg .b32 a<3>; mov.b32 a1, 9; add.u32 %r20, a1, a11; } }", 16u)]
    [InlineData("{ .reg .b32 t1; mov.b32 t1, 7; { .reg .b32 t; mov.b32 t, 9; add.u32 %r20, t, t1; } }", 16u)]
    [InlineData("{ .reg .b32 %r<22>; mov.b32 %r20, 9; } add.u32 %r20, %r20, 1;", 1u)]
    [InlineData("{ .reg .b64 d<3>; mov.b64 d2, 70000; cvt.u32.u64 %r20, d2; }", 70000u)]
    public void RegistersOfABlockAreItsOwn(string body, uint expected) => Assert.Equal(expected, Ptx.One(body, 1));

    [Fact]
    public void AFamilyEndsWithItsBlock()
    {
        string text = Ptx.Kernel("{ .reg .b32 a<8>; mov.b32 a0, 7; }\nmov.b32 %r20, a0;");
        using SimDevice device = Small();
        Assert.Contains("'a0' is neither a register", Assert.Throws<PtxException>(() => device.Load(PtxModule.Parse(text))["k"]).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sm_80", "A100", true)]
    [InlineData("sm_70", "A100", true)]
    [InlineData("sm_86", "A100", false)]
    [InlineData("sm_90", "A100", false)]
    [InlineData("sm_90", "L4", false)]
    [InlineData("sm_90", "H100 SXM", true)]
    [InlineData("sm_90a", "H100 SXM", true)]
    [InlineData("sm_80a", "H100 SXM", false)]
    [InlineData("sm_80f", "L4", true)]
    [InlineData("sm_80f", "H100 SXM", false)]
    public void TargetsBeyondTheDeviceAreRefused(string target, string name, bool takes)
    {
        PtxModule module = PtxModule.Parse(Copy.Replace("sm_80", target, StringComparison.Ordinal));
        using var device = new SimDevice(SimDeviceSpec.Named(name), new SimOptions { MemoryBytes = 1 << 20 });
        if (takes)
        {
            Assert.NotNull(device.Load(module)["k"]);
            return;
        }

        PtxException error = Assert.Throws<PtxException>(() => device.Load(module));
        Assert.Contains($"the PTX is for {target}, the device ({name}) is sm_{SimDeviceSpec.Named(name)!.ComputeCapability}", error.Message, StringComparison.Ordinal);
        Assert.Equal(2, error.Line);
    }

    [Fact]
    public void ModulesTellTheirKernelsAndVariables()
    {
        PtxModule module = PtxModule.Parse(Ptx.File("features.ptx"));
        Assert.Equal("7.8", module.Version);
        Assert.Equal("sm_80", module.Target);
        Assert.Contains("sum_last", module.Kernels);
        using SimDevice device = Small();
        SimModule loaded = device.Load(module);
        Assert.Equal([0.5f, 1.5f, 2.5f], device.Read<float>(loaded.Variable("table", out _), 3));
        Assert.Equal(loaded.Variable("table", out _) + 8, device.Read<ulong>(loaded.Variable("table_end", out _), 1)[0]);
        Assert.Equal(0, device.Read<int>(loaded.Variable("counter", out _), 1)[0]);
        Assert.Equal([8, 40, 4], loaded["calls"].Parameters.Select(p => p.Bytes));
        Assert.Equal([0, 8, 48], loaded["calls"].Parameters.Select(p => p.Offset));
        device.Unload(loaded);
        Assert.Equal(0, device.UsedBytes);
    }

    [Fact]
    public void The_end_of_a_context_gives_its_shadow_memory_back()
    {
        using var device = new SimDevice();
        ulong first = device.Alloc(1 << 20);
        device.Free(first);
        // Kept for the next allocation, in which nothing is written yet.
        Assert.True(device.Memory.KeptShadow > 1 << 18, $"{device.Memory.KeptShadow}");
        device.Alloc(1 << 20);
        device.Clear();
        Assert.Equal(0, device.Memory.KeptShadow);
    }
}
