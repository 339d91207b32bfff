namespace Orthrus.PtxSim.Tests;

/// <summary>Every check fires on a planted fault and is silent on the correct kernel beside it.</summary>
public class CheckTests
{
    private const string Mine = "mul.wide.u32 %rd3, %r1, 4; add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3; shl.b32 %r6, %r1, 2; xor.b32 %r7, %r6, 128;\n";
    private const string Shared = ".shared .align 16 .b8 buf[1024];";

    private static void Passes(string body, Dim3 grid, Dim3 block, string module = Shared, int shared = 0)
    {
        for (int seed = 0; seed < 4; seed++)
            Ptx.Run(Ptx.Kernel(Mine + body, module: module), new uint[1024], 1024, grid, block, shared, 1024, new SimOptions { Seed = seed, MemoryBytes = 1 << 26 });
    }

    private static SimFault Fails(string body, FaultKind kind, Dim3 grid, Dim3 block, string module = Shared) => Ptx.Fault(Ptx.Kernel(Mine + body, module: module), kind, grid, block);

    [Fact]
    public void GlobalBounds()
    {
        Passes("st.global.b32 [%rd4+3072], %r1;", 1, 256);
        SimFault fault = Fails("st.global.b32 [%rd4+3076], %r1;", FaultKind.OutOfBounds, 1, 256);
        Assert.Contains("writes 4 bytes out of bounds (0 bytes past the end of 'output' of 4096 bytes)", fault.Message, StringComparison.Ordinal);
        Assert.Equal(new Dim3(255, 0, 0), fault.Thread);
        Assert.Contains("before 'input'", Fails("ld.global.b32 %r9, [%rd5+-4];", FaultKind.OutOfBounds, 1, 32).Message, StringComparison.Ordinal);
        Fails("ld.global.v4.b32 {%r20,%r21,%r22,%r23}, [%rd2+4096];", FaultKind.OutOfBounds, 1, 1);
        Fails("mov.u64 %rd9, 16; ld.global.b32 %r9, [%rd9];", FaultKind.OutOfBounds, 1, 1);
    }

    [Fact]
    public void AScatteredAccessNamesTheLaneAtFault()
    {
        SimFault fault = Fails("mul.lo.u32 %r8, %r1, 33; mul.wide.u32 %rd6, %r8, 4; add.s64 %rd6, %rd1, %rd6; setp.eq.u32 %p1, %r1, 77; @%p1 add.s64 %rd6, %rd6, 4096; and.b32 %r9, %r1, 1; setp.eq.u32 %p2, %r9, 1; @%p2 st.global.b32 [%rd6], %r1;",
            FaultKind.OutOfBounds, 1, 128);
        Assert.True(fault.Thread.X is >= 32 and < 128);
        Assert.Contains("block (0,0,0)", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void SharedAndLocalBounds()
    {
        Passes("st.shared.b32 [%r6], %r1;", 1, 256);
        Assert.Contains("outside the block's 1024 bytes", Fails("st.shared.b32 [%r6+4], %r1;", FaultKind.OutOfBounds, 1, 256).Message, StringComparison.Ordinal);
        Fails("st.shared.b32 [%r6+-4], %r1;", FaultKind.OutOfBounds, 1, 32);
        string local = Ptx.Kernel("mov.u64 %rd10, frame; cvta.local.u64 %rd11, %rd10; mul.wide.u32 %rd12, %r1, 4; add.s64 %rd11, %rd11, %rd12; st.b32 [%rd11], %r1; ld.b32 %r20, [%rd11];", ".local .align 4 .b8 frame[64];\n");
        Ptx.Run(local, [0], 4, 1, 16);
        Ptx.Fault(local, FaultKind.OutOfBounds, 1, 17);
    }

    [Fact]
    public void Alignment()
    {
        Passes("st.global.b32 [%rd4+4], %r1;", 1, 32);
        Fails("st.global.b32 [%rd4+2], %r1;", FaultKind.Misaligned, 1, 32);
        Fails("ld.global.v4.b32 {%r20,%r21,%r22,%r23}, [%rd5];", FaultKind.Misaligned, 1, 32);
        Fails("st.shared.b32 [%r6+2], %r1;", FaultKind.Misaligned, 1, 32);
    }

    [Fact]
    public void UninitialisedReads()
    {
        Passes("st.global.b32 [%rd4], %r1; ld.global.b32 %r20, [%rd4]; st.shared.b32 [%r6], %r1; ld.shared.b32 %r21, [%r6];", 1, 32);
        Assert.Contains("'output'", Fails("ld.global.b32 %r20, [%rd4];", FaultKind.Uninitialised, 1, 32).Message, StringComparison.Ordinal);
        Fails("st.global.u8 [%rd4+1], %r1; ld.global.b32 %r20, [%rd4];", FaultKind.Uninitialised, 1, 32);
        Assert.Contains("'buf'", Fails("ld.shared.b32 %r20, [%r6];", FaultKind.Uninitialised, 1, 32).Message, StringComparison.Ordinal);
        // What an earlier block left in shared memory is not initialised either.
        Fails("setp.eq.u32 %p1, %r2, 3; @%p1 ld.shared.b32 %r20, [%r6]; st.shared.b32 [%r6], %r1;", FaultKind.Uninitialised, 64, 32);
        Ptx.Fault(Ptx.Kernel("ld.local.b32 %r20, [frame];", ".local .align 4 .b8 frame[64];\n"), FaultKind.Uninitialised, 1, 1);
    }

    [Fact]
    public void ARegisterThatNobodyHasWrittenHoldsNoUsefulNumber()
    {
        uint[] result = Ptx.Run(Ptx.Kernel(Mine + "add.rn.f32 %r20, %r77, %r77; selp.b32 %r20, %r77, %r20, %p19; st.global.b32 [%rd4], %r20;"), new uint[64], 64, 1, 64).Out;
        Assert.All(result, v => Assert.True(float.IsNaN(BitConverter.UInt32BitsToSingle(v))));
    }

    [Fact]
    public void SharedRaces()
    {
        const string exchange = "st.shared.b32 [%r6], %r1; bar.sync 0; ld.shared.b32 %r20, [%r7]; ";
        Passes(exchange + "bar.sync 0; st.shared.b32 [%r6], %r20;", 3, 64);
        SimFault fault = Fails("st.shared.b32 [%r6], 0; bar.sync 0; st.shared.b32 [%r6], %r1; ld.shared.b32 %r20, [%r7];", FaultKind.SharedRace, 1, 64);
        Assert.Contains("with no barrier between", fault.Message, StringComparison.Ordinal);
        Fails(exchange + "st.shared.b32 [%r6], %r20;", FaultKind.SharedRace, 1, 64);
        Fails("and.b32 %r8, %r6, 124; st.shared.b32 [%r8], %r1;", FaultKind.SharedRace, 1, 64);
        Fails("st.shared.b32 [0], %r1;", FaultKind.SharedRace, 1, 32);
        Passes("st.shared.b32 [0], 5;", 1, 32);
    }

    [Fact]
    public void RacesWithinAWarpNeedSyncwarp()
    {
        const string partner = "xor.b32 %r8, %r6, 4; st.shared.b32 [%r6], %r1; ";
        Passes(partner + "bar.warp.sync -1; ld.shared.b32 %r20, [%r8];", 1, 64);
        Assert.Contains("of the same warp", Fails(partner + "ld.shared.b32 %r20, [%r8];", FaultKind.SharedRace, 1, 64).Message, StringComparison.Ordinal);
        Fails(partner + "bar.warp.sync -1; ld.shared.b32 %r20, [%r8]; st.shared.b32 [%r6], %r20;", FaultKind.SharedRace, 1, 64);
        Passes(partner + "bar.warp.sync -1; ld.shared.b32 %r20, [%r8]; bar.warp.sync -1; st.shared.b32 [%r6], %r20;", 1, 64);
        // Halves of the warp that synchronise among themselves.
        Passes(partner + "setp.lt.u32 %p1, %r4, 16; selp.b32 %r9, 0xffff, 0xffff0000, %p1; bar.warp.sync %r9; ld.shared.b32 %r20, [%r8];", 1, 64);
    }

    [Fact]
    public void GlobalRaces()
    {
        Passes("setp.eq.u32 %p1, %r2, 0; @%p1 st.global.b32 [%rd4], %r1;", 4, 64);
        Assert.Contains("of block", Fails("st.global.b32 [%rd4], %r1;", FaultKind.GlobalRace, 4, 64).Message, StringComparison.Ordinal);
        Fails("ld.global.b32 %r20, [%rd5]; setp.eq.u32 %p1, %r2, 5; @%p1 st.global.b32 [%rd5], %r20;", FaultKind.GlobalRace, 16, 64);
        Fails("xor.b32 %r8, %r1, 32; mul.wide.u32 %rd6, %r8, 4; add.s64 %rd6, %rd2, %rd6; st.global.b32 [%rd5], %r1; ld.global.b32 %r20, [%rd6];", FaultKind.GlobalRace, 1, 64);
        Passes("xor.b32 %r8, %r1, 32; mul.wide.u32 %rd6, %r8, 4; add.s64 %rd6, %rd1, %rd6; st.global.b32 [%rd4], %r1; bar.sync 0; ld.global.b32 %r20, [%rd6];", 1, 64);
        Fails("mul.wide.u32 %rd6, %r1, 0; atom.global.add.u32 %r20, [%rd2], 1; ld.global.b32 %r21, [%rd2];", FaultKind.GlobalRace, 2, 32);
        Passes("atom.global.add.u32 %r20, [%rd2], 1; red.global.max.u32 [%rd2+4], %r1; ld.volatile.global.b32 %r21, [%rd2];", 8, 64);
    }

    [Fact]
    public void HalvesOfAWordAreNotARace()
    {
        const string halves = "mul.wide.u32 %rd6, %r2, 2; add.s64 %rd6, %rd1, %rd6; cvt.u16.u32 %h1, %r2; setp.eq.u32 %p1, %r1, 0; @%p1 st.global.u16 [%rd6], %h1;";
        Passes(halves, 64, 32);
        Fails(halves + "@%p1 st.global.u16 [%rd6+2], %h1;", FaultKind.GlobalRace, 64, 32);
    }

    [Fact]
    public void DivergentBarriers()
    {
        Passes("bar.sync 0;", 1, 100);
        // Threads that have exited count as arrived.
        Passes("setp.ge.u32 %p1, %r1, 32; @%p1 exit; bar.sync 0;", 1, 64);
        Assert.Contains("divergent barrier", Fails("setp.lt.u32 %p1, %r4, 16; @%p1 bar.sync 0;", FaultKind.DivergentBarrier, 1, 64).Message, StringComparison.Ordinal);
        Assert.Contains("never completes", Fails("setp.lt.u32 %p1, %r1, 32; @%p1 bra A; bar.sync 1; bra.uni B; A: bar.sync 2; B:", FaultKind.DivergentBarrier, 1, 64).Message, StringComparison.Ordinal);
        Assert.Contains("a barrier for 96 threads in a block of 64", Fails("bar.sync 1, 96;", FaultKind.DivergentBarrier, 1, 64).Message, StringComparison.Ordinal);
        // An early return in the middle of a warp is in order; leaving out the barrier and doing other work is not.
        Passes("setp.ge.u32 %p1, %r1, 40; @%p1 bra OUT; bar.sync 0; OUT:", 1, 64);
        Fails("setp.ge.u32 %p1, %r1, 40; @%p1 bra OUT; bar.sync 0; OUT: st.global.b32 [%rd4], %r1;", FaultKind.DivergentBarrier, 1, 64);
    }

    [Fact]
    public void MemberMasks()
    {
        Passes("shfl.sync.idx.b32 %r20, %r4, 0, 0x1f, -1;", 1, 64);
        Assert.Contains("leaves it out", Fails("shfl.sync.idx.b32 %r20, %r4, 0, 0x1f, 0xffff;", FaultKind.MemberMask, 1, 32).Message, StringComparison.Ordinal);
        Assert.Contains("do not come", Fails("setp.lt.u32 %p1, %r4, 16; @%p1 shfl.sync.idx.b32 %r20, %r4, 0, 0x1f, -1;", FaultKind.MemberMask, 1, 32).Message, StringComparison.Ordinal);
        Assert.Contains("shuffles from lane", Fails("setp.lt.u32 %p1, %r4, 16; @!%p1 exit; shfl.sync.bfly.b32 %r20, %r4, 16, 0x1f, -1;", FaultKind.MemberMask, 1, 32).Message, StringComparison.Ordinal);
        Assert.Contains("different member masks", Fails("setp.lt.u32 %p1, %r4, 16; selp.b32 %r9, 0xffff, -1, %p1; shfl.sync.bfly.b32 %r20, %r4, 1, 0x1f, %r9;", FaultKind.MemberMask, 1, 32).Message, StringComparison.Ordinal);
        Passes("setp.lt.u32 %p1, %r4, 16; @%p1 shfl.sync.bfly.b32 %r20, %r4, 1, 0x1f, 0xffff;", 1, 32);
    }

    [Fact]
    public void AsyncCopies()
    {
        const string copy = "shl.b32 %r8, %r1, 4; mul.wide.u32 %rd6, %r1, 16; add.s64 %rd6, %rd2, %rd6; cp.async.cg.shared.global [%r8], [%rd6], 16; cp.async.commit_group; ";
        Passes(copy + "cp.async.wait_group 0; bar.sync 0; ld.shared.b32 %r20, [%r7];", 4, 64);
        Passes(copy + "cp.async.wait_all; ld.shared.v4.b32 {%r20,%r21,%r22,%r23}, [%r8];", 4, 64);
        Assert.Contains("before its wait", Fails(copy + "bar.sync 0; ld.shared.b32 %r20, [%r7];", FaultKind.AsyncCopyPending, 1, 64).Message, StringComparison.Ordinal);
        Fails(copy + "cp.async.wait_group 1; bar.sync 0; ld.shared.b32 %r20, [%r7];", FaultKind.AsyncCopyPending, 1, 64);
        Fails(copy + "cp.async.wait_group 0; ld.shared.b32 %r20, [%r7];", FaultKind.SharedRace, 1, 64);
        // Zero fill: the source is not read.
        Passes("shl.b32 %r8, %r1, 4; mov.u64 %rd6, 0; cp.async.cg.shared.global [%r8], [%rd6], 16, 0; cp.async.wait_all; ld.shared.b32 %r20, [%r8];", 1, 32);
    }

    [Fact]
    public void HangingLoopsEnd()
    {
        string text = Ptx.Kernel("L: ld.volatile.global.b32 %r20, [%rd2]; setp.eq.u32 %p1, %r20, 0; @%p1 bra L;");
        using var device = new SimDevice(null, new SimOptions { StallLimit = 500, MemoryBytes = 1 << 20 });
        SimKernel kernel = device.Load(PtxModule.Parse(text))["k"];
        ulong memory = device.Alloc(64);
        device.Fill(memory, 0, 64);
        SimFault fault = Assert.Throws<SimFault>(() => device.Launch(kernel, 2, 64, 0, memory, memory, 1));
        Assert.Equal(FaultKind.NoProgress, fault.Kind);
    }

    [Fact]
    public void TrapAndConstantMemory()
    {
        Fails("trap;", FaultKind.Trap, 1, 1);
        Fails("mov.u64 %rd9, c; st.b32 [%rd9], %r1;", FaultKind.ReadOnly, 1, 1, ".const .align 4 .b8 c[16] = {1,2,3,4};");
    }
}
