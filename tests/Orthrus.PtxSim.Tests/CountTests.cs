namespace Orthrus.PtxSim.Tests;

/// <summary>Counters on accesses that can be counted by hand.</summary>
public class CountTests
{
    private const string Mine = "mul.wide.u32 %rd3, %r1, 4; add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3; shl.b32 %r6, %r1, 2;\n";
    private const string Shared = ".shared .align 16 .b8 buf[16384];";

    private static LaunchReport Run(string body, int threads = 32, int blocks = 1) => Ptx.Run(Ptx.Kernel(Mine + body, module: Shared), new uint[4096], 4096, blocks, threads).Report;

    [Theory]
    [InlineData("ld.global.b32 %r20, [%rd5];", 4, 4, 128)]
    [InlineData("ld.global.b32 %r20, [%rd5+4];", 5, 4, 128)]
    [InlineData("mul.wide.u32 %rd6, %r1, 8; add.s64 %rd6, %rd2, %rd6; ld.global.b32 %r20, [%rd6];", 8, 4, 128)]
    [InlineData("mul.wide.u32 %rd6, %r1, 32; add.s64 %rd6, %rd2, %rd6; ld.global.b32 %r20, [%rd6];", 32, 4, 128)]
    [InlineData("mul.wide.u32 %rd6, %r1, 16; add.s64 %rd6, %rd2, %rd6; ld.global.v4.b32 {%r20,%r21,%r22,%r23}, [%rd6];", 16, 16, 512)]
    [InlineData("ld.global.b32 %r20, [%rd2];", 1, 1, 4)]
    [InlineData("mul.wide.u32 %rd6, %r1, 2; add.s64 %rd6, %rd2, %rd6; ld.global.u16 %r20, [%rd6];", 2, 2, 64)]
    [InlineData("setp.lt.u32 %p1, %r1, 8; @%p1 ld.global.b32 %r20, [%rd5];", 1, 1, 32)]
    public void GlobalSectors(string body, int sectors, int minimum, int bytes)
    {
        LaunchReport report = Run(body);
        Assert.Equal(new AccessCount(1, sectors, minimum, bytes), report.GlobalLoads);
        Assert.Equal(32 * sectors, report.DramReadBytes);
        Assert.Equal(0, report.DramWriteBytes);
    }

    [Fact]
    public void DramCountsEachSectorOnce()
    {
        LaunchReport report = Run("ld.global.b32 %r20, [%rd5]; st.global.b32 [%rd4], %r20; ld.global.b32 %r21, [%rd5]; ld.global.b32 %r22, [%rd5+64];", 64);
        Assert.Equal(6, report.GlobalLoads.Requests);
        Assert.Equal(256 + 64, report.DramReadBytes);
        Assert.Equal(256, report.DramWriteBytes);
    }

    [Theory]
    [InlineData("st.shared.b32 [%r6], %r1;", 1, 1)]
    [InlineData("shl.b32 %r7, %r1, 3; st.shared.b32 [%r7], %r1;", 2, 1)]
    [InlineData("shl.b32 %r7, %r1, 7; st.shared.b32 [%r7], %r1;", 32, 1)]
    [InlineData("mul.lo.u32 %r7, %r1, 132; st.shared.b32 [%r7], %r1;", 1, 1)]
    [InlineData("shl.b32 %r7, %r1, 3; st.shared.v2.b32 [%r7], {%r1, %r1};", 2, 2)]
    [InlineData("shl.b32 %r7, %r1, 4; st.shared.v4.b32 [%r7], {%r1, %r1, %r1, %r1};", 4, 4)]
    [InlineData("shl.b32 %r7, %r1, 1; cvt.u16.u32 %h1, %r1; st.shared.u16 [%r7], %h1;", 1, 1)]
    [InlineData("st.shared.b32 [64], 3;", 1, 1)]
    public void BankCycles(string body, int cycles, int minimum)
    {
        LaunchReport report = Run(body);
        Assert.Equal(1, report.SharedStores.Requests);
        Assert.Equal(cycles, report.SharedStores.Units);
        Assert.Equal(minimum, report.SharedStores.Minimum);
    }

    [Fact]
    public void InstructionsByClass()
    {
        // 3 warps, the last of 16 lanes; a loop of 5 rounds.
        LaunchReport report = Run("""
            mov.u32 %r20, 0;
            L: add.u32 %r20, %r20, 1; ex2.approx.f32 %r21, %r20; fma.rn.f32 %r22, %r21, %r21, %r21; setp.lt.u32 %p1, %r20, 5; @%p1 bra L;
            """, 80);
        Assert.Equal(new InstructionCount(15, 400), report[InstructionClass.Special]);
        Assert.Equal(new InstructionCount(15, 400), report[InstructionClass.Float32]);
        Assert.Equal(new InstructionCount(15, 400), report[InstructionClass.Compare]);
        Assert.Equal(new InstructionCount(15 + 3, 400 + 80), report[InstructionClass.Branch]);
        Assert.Equal(new InstructionCount(15 + 12, 400 + 320), report[InstructionClass.Integer]);
        Assert.Equal(new InstructionCount(9, 240), report[InstructionClass.Constant]);
        Assert.Equal(report.Total.Lane - report[InstructionClass.Move].Lane, report.WithoutMoves.Lane);
        LineCount line = Assert.Single(report.Lines, l => l.Opcode == "ex2.approx.f32");
        Assert.Equal(400, line.Executed.Lane);
    }

    [Fact]
    public void DivergedLanesCountWhereTheyAre()
    {
        LaunchReport report = Run("setp.lt.u32 %p1, %r4, 7; @%p1 bra A; ex2.approx.f32 %r20, %r4; bra.uni B; A: ex2.approx.f32 %r20, %r4; ex2.approx.f32 %r20, %r4; B: ex2.approx.f32 %r20, %r4;");
        Assert.Equal(new InstructionCount(4, 25 + 14 + 32), report[InstructionClass.Special]);
    }

    [Fact]
    public void BoundsNameTheLimitingUnit()
    {
        LaunchReport report = Run("ld.global.b32 %r20, [%rd5]; st.global.b32 [%rd4], %r20;", 1024);
        SimDeviceSpec spec = SimDeviceSpec.H100;
        IReadOnlyList<UnitBound> bounds = report.Bounds(spec);
        Assert.Equal(8192 / 3.35e12, bounds.Single(b => b.Unit == "dram").Seconds, 1e-15);
        Assert.Equal(report.WithoutMoves.Warp / (4 * 132 * 1.755e9), bounds.Single(b => b.Unit == "issue").Seconds, 1e-15);
        Assert.True(bounds[0].Seconds >= bounds[1].Seconds);
        Assert.Equal("dram", bounds[0].Unit);
        // 2048 threads; a kernel of one warp is held back by its 16 KB of shared memory.
        Assert.Equal(64, report.ResidentWarps(spec));
        Assert.Equal(13, Run("bar.sync 0;").ResidentWarps(spec));
    }

    [Fact]
    public void MatrixProductsCountAtTheRateOfTheirTypes()
    {
        // Two shapes and three kinds in one kernel, the large one in a loop of three rounds.
        LaunchReport report = Run("""
            mov.u32 %r20, 0; mov.b32 %r30, 0; mov.b32 %r31, 0; mov.b32 %r32, 0; mov.b32 %r33, 0;
            L: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r30,%r31,%r32,%r33}, {%r30,%r31,%r32,%r33}, {%r30,%r31}, {%r30,%r31,%r32,%r33};
            add.u32 %r20, %r20, 1; setp.lt.u32 %p1, %r20, 3; @%p1 bra L;
            mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%r30,%r31,%r32,%r33}, {%r30,%r31,%r32,%r33}, {%r30,%r31}, {%r30,%r31,%r32,%r33};
            mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%r30,%r31}, {%r30,%r31}, {%r32}, {%r30,%r31};
            """, 64);
        long large = 2L * 3 * 4096, tf32 = 2 * 2048, halves = 2 * 2048;
        Assert.Equal((large + tf32 + halves, tf32, halves), (report.MatrixFlops, report.Tf32Flops, report.HalfSumFlops));
        Assert.Equal((large + (2 * tf32) + halves) / (4096 * 132 * 1.755e9), report.Bounds(SimDeviceSpec.H100).Single(b => b.Unit == "matrix").Seconds, 1e-18);
        // GeForce cards sum f16 in f16 twice as fast as in f32.
        Assert.Equal((large + (2 * tf32) + (halves / 2)) / (512 * 128 * 2.52e9), report.Bounds(SimDeviceSpec.Rtx4090).Single(b => b.Unit == "matrix").Seconds, 1e-18);
    }

    [Fact]
    public void TheTableOfDevices()
    {
        Assert.Equal(4, SimDeviceSpec.All.Count);
        // Dense bf16 rates of the data sheets in TFLOPS.
        foreach ((string name, double tflops) in ((string, double)[])[("A100", 312), ("L4", 121), ("RTX 4090", 165.2)])
        {
            SimDeviceSpec spec = SimDeviceSpec.Named(name)!;
            Assert.Equal(tflops, spec.MatrixFlopsPerClock * spec.Multiprocessors * spec.ClockGHz / 1000, tflops * 0.01);
        }

        // The same of tf32, and of f16 summed in f16.
        foreach ((string name, double tf32, double halves) in ((string, double, double)[])[("A100", 156, 312), ("L4", 60, 121), ("RTX 4090", 82.6, 330.3)])
        {
            SimDeviceSpec spec = SimDeviceSpec.Named(name)!;
            double teraclocks = spec.Multiprocessors * spec.ClockGHz / 1000;
            Assert.Equal(tf32, spec.Tf32FlopsPerClock * teraclocks, tf32 * 0.015);
            Assert.Equal(halves, spec.HalfSumFlopsPerClock * teraclocks, halves * 0.01);
        }

        Assert.Null(SimDeviceSpec.Named("none"));
    }
}
