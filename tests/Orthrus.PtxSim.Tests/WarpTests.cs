namespace Orthrus.PtxSim.Tests;

/// <summary>Shuffles, votes, matches, barriers, divergence; matrix instructions by the fragment layouts of the PTX manual.</summary>
public class WarpTests
{
    private const string Store = "mul.wide.u32 %rd3, %r1, 4; add.s64 %rd4, %rd1, %rd3; st.global.b32 [%rd4], %r20;";

    private static uint[] Lanes(string body, int threads = 32) => Ptx.Run(Ptx.Kernel(body + Store), [0], threads, 1, threads).Out;

    [Theory]
    [InlineData("shfl.sync.bfly.b32 %r20, %r4, 5, 0x1f, -1;", "bfly")]
    [InlineData("shfl.sync.up.b32 %r20, %r4, 3, 0, -1;", "up")]
    [InlineData("shfl.sync.down.b32 %r20, %r4, 3, 0x1f, -1;", "down")]
    [InlineData("shfl.sync.idx.b32 %r20, %r4, 40, 0x1f, -1;", "idx")]
    [InlineData("shfl.sync.idx.b32 %r20, %r4, 2, 0x181f, -1;", "segment")]
    [InlineData("shfl.sync.down.b32 %r20, %r4, 6, 0x181f, -1;", "segmentdown")]
    public void Shuffles(string body, string kind)
    {
        uint[] d = Lanes(body);
        for (int l = 0; l < 32; l++)
        {
            int expected = kind switch
            {
                "bfly" => l ^ 5,
                "up" => l >= 3 ? l - 3 : l,
                "down" => l + 3 < 32 ? l + 3 : l,
                "idx" => 8,
                "segment" => (l & ~7) + 2,
                _ => (l & 7) + 6 < 8 ? l + 6 : l,
            };
            Assert.Equal((uint)expected, d[l]);
        }
    }

    [Fact]
    public void ShufflePredicateSaysWhetherTheSourceIsInRange()
    {
        uint[] d = Lanes("shfl.sync.up.b32 %r5|%p1, %r4, 3, 0, -1; selp.u32 %r20, 1, 0, %p1;");
        Assert.Equal(29, d.Count(v => v == 1));
        Assert.Equal(0u, d[2]);
    }

    [Fact]
    public void VotesMatchesAndReductions()
    {
        Assert.All(Lanes("and.b32 %r5, %r4, 3; setp.eq.u32 %p1, %r5, 0; vote.sync.ballot.b32 %r20, %p1, -1;"), v => Assert.Equal(0x11111111u, v));
        Assert.All(Lanes("setp.lt.u32 %p1, %r4, 31; vote.sync.all.pred %p2, %p1, -1; selp.u32 %r20, 1, 0, %p2;"), v => Assert.Equal(0u, v));
        Assert.All(Lanes("setp.lt.u32 %p1, %r4, 1; vote.sync.any.pred %p2, %p1, -1; selp.u32 %r20, 1, 0, %p2;"), v => Assert.Equal(1u, v));
        Assert.All(Lanes("setp.lt.u32 %p1, %r4, 1; vote.sync.uni.pred %p2, !%p1, -1; selp.u32 %r20, 1, 0, %p2;"), v => Assert.Equal(0u, v));
        Assert.All(Lanes("redux.sync.add.s32 %r20, %r4, -1;"), v => Assert.Equal(496u, v));
        Assert.All(Lanes("sub.s32 %r5, %r4, 16; redux.sync.min.s32 %r20, %r5, -1;"), v => Assert.Equal(0xFFFFFFF0u, v));
        Assert.All(Lanes("redux.sync.xor.b32 %r20, %r4, -1;"), v => Assert.Equal(0u, v));
        uint[] any = Lanes("shr.u32 %r5, %r4, 3; match.any.sync.b32 %r20, %r5, -1;");
        for (int l = 0; l < 32; l++)
            Assert.Equal(0xFFu << (l & ~7), any[l]);
        Assert.All(Lanes("match.all.sync.b32 %r5|%p1, %r3, -1; selp.u32 %r20, %r5, 0, %p1;"), v => Assert.Equal(uint.MaxValue, v));
        uint[] mask = Lanes("setp.lt.u32 %p1, %r4, 10; mov.u32 %r20, 0; @%p1 activemask.b32 %r20;");
        Assert.Equal(0x3FFu, mask[3]);
        Assert.Equal(0u, mask[12]);
    }

    [Fact]
    public void LanesMeetAgainAfterDivergenceWhateverTheLayout()
    {
        // The else branch stands after the join, so that the lanes of the join have to wait.
        uint[] d = Lanes("""
            setp.lt.u32 %p1, %r4, 7;
            @%p1 bra ELSE;
            add.u32 %r5, %r4, 100;
            JOIN:
            shfl.sync.bfly.b32 %r20, %r5, 16, 0x1f, -1;
            bra.uni DONE;
            ELSE:
            add.u32 %r5, %r4, 200;
            bra.uni JOIN;
            DONE:
            """);
        for (int l = 0; l < 32; l++)
            Assert.Equal((uint)((l ^ 16) < 7 ? (l ^ 16) + 200 : (l ^ 16) + 100), d[l]);
    }

    [Fact]
    public void IndexedBranchesTakeEachLaneToItsTarget()
    {
        uint[] d = Lanes("""
            and.b32 %r5, %r4, 3;
            TARGETS: .branchtargets T0, T1, T2, T3;
            brx.idx %r5, TARGETS;
            T0: mov.u32 %r20, 10; bra.uni DONE;
            T1: mov.u32 %r20, 11; bra.uni DONE;
            T2: mov.u32 %r20, 12; bra.uni DONE;
            T3: mov.u32 %r20, 13;
            DONE:
            """);
        for (int l = 0; l < 32; l++)
            Assert.Equal((uint)(10 + (l & 3)), d[l]);
    }

    [Fact]
    public void BarrierReductions()
    {
        uint[] d = Lanes("setp.lt.u32 %p1, %r1, 40; bar.red.popc.u32 %r20, 0, %p1;", 96);
        Assert.All(d, v => Assert.Equal(40u, v));
        d = Lanes("setp.lt.u32 %p1, %r1, 95; bar.red.and.pred %p2, 0, %p1; selp.u32 %r20, 1, 0, %p2;", 96);
        Assert.All(d, v => Assert.Equal(0u, v));
    }

    [Fact]
    public void NamedBarriersOrderProducerAndConsumer()
    {
        // Warp 0 writes and arrives, warp 1 waits and reads; warps 2 and 3 have nothing to do with it.
        string text = Ptx.Kernel("""
            mov.u32 %r20, 0; shl.b32 %r6, %r4, 2; shr.u32 %r5, %r1, 5; setp.eq.u32 %p1, %r5, 0; setp.eq.u32 %p2, %r5, 1;
            @!%p1 bra READ;
            add.u32 %r7, %r4, 50; st.shared.b32 [%r6], %r7; bar.arrive 3, 64; bra.uni DONE;
            READ:
            @!%p2 bra DONE;
            bar.sync 3, 64; ld.shared.b32 %r20, [%r6];
            DONE:
            """ + Store, module: ".shared .align 4 .b8 buf[128];");
        for (int seed = 0; seed < 8; seed++)
        {
            uint[] d = Ptx.Run(text, [0], 128, 1, 128, options: new SimOptions { Seed = seed, MemoryBytes = 1 << 20 }).Out;
            Assert.Equal(57u, d[39]);
            Assert.Equal(0u, d[70]);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LdmatrixDistributesRows(bool transposed)
    {
        // Matrix m, row r, column c holds 1000 m + 8 r + c as b16; rows of 16 bytes at 32-byte steps.
        string text = Ptx.Kernel($$"""
            setp.lt.u32 %p1, %r4, 32; shl.b32 %r5, %r4, 5; shr.u32 %r6, %r4, 3; and.b32 %r7, %r4, 7;
            mul.lo.u32 %r6, %r6, 1000; shl.b32 %r7, %r7, 3; add.u32 %r6, %r6, %r7;
            mov.u32 %r8, 0;
            LOOP: add.u32 %r9, %r6, %r8; cvt.u16.u32 %h1, %r9; shl.b32 %r30, %r8, 1; add.u32 %r30, %r30, %r5; st.shared.u16 [%r30], %h1;
            add.u32 %r8, %r8, 1; setp.lt.u32 %p2, %r8, 8; @%p2 bra LOOP;
            bar.sync 0;
            ldmatrix.sync.aligned.m8n8.x4{{(transposed ? ".trans" : "")}}.shared.b16 {%r40, %r41, %r42, %r43}, [%r5];
            mul.wide.u32 %rd3, %r1, 16; add.s64 %rd4, %rd1, %rd3; st.global.v4.b32 [%rd4], {%r40, %r41, %r42, %r43};
            """, module: ".shared .align 16 .b8 buf[1024];");
        uint[] d = Ptx.Run(text, [0], 128, 1, 32).Out;
        for (int l = 0; l < 32; l++)
        {
            for (int m = 0; m < 4; m++)
            {
                // Row l / 4, columns 2 (l % 4) and the next; transposed: the same of the transposed matrix.
                int r = l / 4, c = 2 * (l % 4);
                uint low = (uint)((1000 * m) + (transposed ? (8 * c) + r : (8 * r) + c)), high = (uint)((1000 * m) + (transposed ? (8 * (c + 1)) + r : (8 * r) + c + 1));
                Assert.Equal(low | high << 16, d[(4 * l) + m]);
            }
        }
    }

    [Theory]
    [InlineData("bf16", 16, "f32")]
    [InlineData("bf16", 8, "f32")]
    [InlineData("f16", 16, "f32")]
    [InlineData("f16", 8, "f32")]
    [InlineData("f16", 16, "f16")]
    [InlineData("tf32", 8, "f32")]
    [InlineData("tf32", 4, "f32")]
    public void MmaMultipliesByTheManualsFragments(string type, int k, string accumulator)
    {
        bool tf32 = type == "tf32", half = accumulator == "f16";
        int perRegister = tf32 ? 1 : 2, na = 16 * k / 32 / perRegister, nb = 8 * k / 32 / perRegister, nc = half ? 2 : 4, total = na + nb + nc;
        var random = new Random(k);
        float[,] a = new float[16, k], b = new float[k, 8], c = new float[16, 8];
        Fill(a);
        Fill(b);
        Fill(c);
        uint[] input = new uint[32 * 16];
        for (int lane = 0; lane < 32; lane++)
        {
            int group = lane >> 2, thread = lane & 3, at = lane * 16;
            for (int i = 0; i < na * perRegister; i++)
            {
                // 16-bit: row group for i in 0, 1, 4, 5, else group + 8; column 2 thread + (i & 1) + 8 for i >= 4. tf32: rows alternate, columns by i >= 2.
                int row = tf32 ? group + (8 * (i & 1)) : group + ((i & 2) != 0 ? 8 : 0);
                int col = tf32 ? thread + (i >= 2 ? 4 : 0) : (2 * thread) + (i & 1) + (i >= 4 ? 8 : 0);
                Put(ref input[at + (i / perRegister)], a[row, col], i % perRegister);
            }

            for (int i = 0; i < nb * perRegister; i++)
            {
                int row = tf32 ? thread + (4 * i) : (2 * thread) + (i & 1) + (i >= 2 ? 8 : 0);
                Put(ref input[at + na + (i / perRegister)], b[row, group], i % perRegister);
            }

            for (int i = 0; i < 4; i++)
            {
                float v = c[group + (i >= 2 ? 8 : 0), (2 * thread) + (i & 1)];
                if (half)
                    input[at + na + nb + (i / 2)] |= (uint)BitConverter.HalfToUInt16Bits((Half)v) << (16 * (i & 1));
                else
                    input[at + na + nb + i] = BitConverter.SingleToUInt32Bits(v);
            }
        }

        string registers(int from, int count) => "{" + string.Join(", ", Enumerable.Range(from, count).Select(r => $"%r{r}")) + "}";
        string text = Ptx.Kernel("mul.wide.u32 %rd3, %r1, 64; add.s64 %rd4, %rd2, %rd3; add.s64 %rd5, %rd1, %rd3;\n"
            + string.Concat(Enumerable.Range(0, total).Select(i => $"ld.global.b32 %r{20 + i}, [%rd4+{4 * i}];\n"))
            + $"mma.sync.aligned.m16n8k{k}.row.col.{accumulator}.{type}.{type}.{accumulator} {registers(50, nc)}, {registers(20, na)}, {registers(20 + na, nb)}, {registers(20 + na + nb, nc)};\n"
            + string.Concat(Enumerable.Range(0, nc).Select(i => $"st.global.b32 [%rd5+{4 * i}], %r{50 + i};\n")));
        (uint[] d, LaunchReport report) = Ptx.Run(text, input, 32 * 16, 1, 32);
        Assert.Equal(2 * 16 * 8 * k, report.MatrixFlops);
        for (int lane = 0; lane < 32; lane++)
        {
            for (int i = 0; i < 4; i++)
            {
                int row = (lane >> 2) + (i >= 2 ? 8 : 0), col = (2 * (lane & 3)) + (i & 1);
                double expected = c[row, col];
                for (int p = 0; p < k; p++)
                    expected += a[row, p] * b[p, col];
                float actual = half
                    ? (float)BitConverter.UInt16BitsToHalf((ushort)(d[(lane * 16) + (i / 2)] >> (16 * (i & 1))))
                    : BitConverter.UInt32BitsToSingle(d[(lane * 16) + i]);
                Assert.Equal(expected, actual);
            }
        }

        void Fill(float[,] m)
        {
            for (int i = 0; i < m.GetLength(0); i++)
            {
                for (int j = 0; j < m.GetLength(1); j++)
                    m[i, j] = random.Next(-7, 8);
            }
        }

        void Put(ref uint register, float v, int index)
        {
            uint bits = type switch { "tf32" => BitConverter.SingleToUInt32Bits(v), "bf16" => BitConverter.SingleToUInt32Bits(v) >> 16, _ => BitConverter.HalfToUInt16Bits((Half)v) };
            register |= bits << (16 * index);
        }
    }
}
