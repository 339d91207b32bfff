using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

internal interface IFragment
{
    /// <summary>Elements in a 32-bit register.</summary>
    static abstract int Halves { get; }

    static abstract Vector512<float> Unpack(Vector512<uint> v, int half);
}

/// <summary>
/// mma.sync m16n8 with f32 accumulation (f16 accumulators are rounded at the end). Lanes form quads: lane 4g + q holds rows g and g + 8 of A and of
/// the result at columns 2q and 2q + 1, and column g of B; so what a lane needs of A lies in its quad, what it needs of B is the same for all quads.
/// </summary>
internal static unsafe class MatrixOps
{
    public readonly struct Brain : IFragment
    {
        public static int Halves => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Unpack(Vector512<uint> v, int half) => (half == 0 ? v << 16 : v & Vector512.Create(0xFFFF0000u)).AsSingle();
    }

    public readonly struct HalfFloat : IFragment
    {
        public static int Halves => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Unpack(Vector512<uint> v, int half) => HalfMath.Widen(v, half);
    }

    /// <summary>tf32 in 32 bits, of which the hardware reads 19.</summary>
    public readonly struct Tf32 : IFragment
    {
        public static int Halves => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Unpack(Vector512<uint> v, int half) => (v & Vector512.Create(0xFFFFE000u)).AsSingle();
    }

    /// <summary>
    /// Ext: D, A, B, C register offsets one after the other. X: bits 0-1 pairs of A registers (= B registers), bit 2 f16 accumulators
    /// (2 registers instead of 4).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Multiply<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, IFragment
    {
        if (m != Lanes.All)
        {
            if (!core.Gather(i, ref m, core.Warp.Alive, out Instr* next))
                return next;
            if (m != Lanes.All)
                throw core.Fault(FaultKind.MemberMask, i, BitOperations.TrailingZeroCount(m), 0, $"mma needs all 32 lanes, lanes 0x{m:x8} execute it");
        }

        bool half = (i->X & 4) != 0;
        int pairs = i->X & 3, accumulators = half ? 2 : 4;
        if (!Avx512F.IsSupported)
        {
            Portable<T>(i, r, pairs, half);
            return i + 1;
        }

        int* d = i->Ext;
        int* a = d + accumulators;
        int* b = a + (2 * pairs);
        int* c = b + pairs;
        Vector512<uint> lane = Vector512<uint>.Indices;
        Vector512<uint> even = (lane & Vector512.Create(3u)) << 3, odd = even + Vector512.Create(4u);

        // Row half (g, g + 8) x column (2q, 2q + 1) x lane half.
        Vector512<float> s000, s001, s010, s011, s100, s101, s110, s111;
        if (half)
        {
            var c0 = (Vector512<uint>*)(r + c[0]);
            var c1 = (Vector512<uint>*)(r + c[1]);
            s000 = HalfMath.Widen(c0[0], 0);
            s001 = HalfMath.Widen(c0[1], 0);
            s010 = HalfMath.Widen(c0[0], 1);
            s011 = HalfMath.Widen(c0[1], 1);
            s100 = HalfMath.Widen(c1[0], 0);
            s101 = HalfMath.Widen(c1[1], 0);
            s110 = HalfMath.Widen(c1[0], 1);
            s111 = HalfMath.Widen(c1[1], 1);
        }
        else
        {
            s000 = ((Vector512<float>*)(r + c[0]))[0];
            s001 = ((Vector512<float>*)(r + c[0]))[1];
            s010 = ((Vector512<float>*)(r + c[1]))[0];
            s011 = ((Vector512<float>*)(r + c[1]))[1];
            s100 = ((Vector512<float>*)(r + c[2]))[0];
            s101 = ((Vector512<float>*)(r + c[2]))[1];
            s110 = ((Vector512<float>*)(r + c[3]))[0];
            s111 = ((Vector512<float>*)(r + c[3]))[1];
        }

        for (int p = 0; p < pairs; p++)
        {
            var top = (Vector512<uint>*)(r + a[2 * p]);
            var bottom = (Vector512<uint>*)(r + a[(2 * p) + 1]);
            var column = (Vector512<uint>*)(r + b[p]);
            Vector512<uint> b0 = column[0], b1 = column[1];
            for (uint s = 0; s < 4; s++)
            {
                Vector512<uint> step = Vector512.Create(s);
                Vector512<uint> be = Pick(b0, b1, even + step), bo = Pick(b0, b1, odd + step);
                Vector512<uint> t0 = Quad(top[0], s), t1 = Quad(top[1], s), u0 = Quad(bottom[0], s), u1 = Quad(bottom[1], s);
                for (int h = 0; h < T.Halves; h++)
                {
                    Vector512<float> e = T.Unpack(be, h), o = T.Unpack(bo, h);
                    Vector512<float> x0 = T.Unpack(t0, h), x1 = T.Unpack(t1, h), y0 = T.Unpack(u0, h), y1 = T.Unpack(u1, h);
                    s000 = Vector512.FusedMultiplyAdd(x0, e, s000);
                    s001 = Vector512.FusedMultiplyAdd(x1, e, s001);
                    s010 = Vector512.FusedMultiplyAdd(x0, o, s010);
                    s011 = Vector512.FusedMultiplyAdd(x1, o, s011);
                    s100 = Vector512.FusedMultiplyAdd(y0, e, s100);
                    s101 = Vector512.FusedMultiplyAdd(y1, e, s101);
                    s110 = Vector512.FusedMultiplyAdd(y0, o, s110);
                    s111 = Vector512.FusedMultiplyAdd(y1, o, s111);
                }
            }
        }

        if (half)
        {
            PackHalves(r + d[0], s000, s001, s010, s011);
            PackHalves(r + d[1], s100, s101, s110, s111);
        }
        else
        {
            Put(r + d[0], s000, s001);
            Put(r + d[1], s010, s011);
            Put(r + d[2], s100, s101);
            Put(r + d[3], s110, s111);
        }

        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(byte* d, Vector512<float> low, Vector512<float> high)
    {
        var p = (Vector512<uint>*)d;
        p[0] = FloatOps.Canonical(low);
        p[1] = FloatOps.Canonical(high);
    }

    private static void PackHalves(byte* d, Vector512<float> evenLow, Vector512<float> evenHigh, Vector512<float> oddLow, Vector512<float> oddHigh)
    {
        var p = (uint*)d;
        for (int l = 0; l < 16; l++)
        {
            p[l] = HalfMath.ToHalf(evenLow[l], Rounding.NearestEven) | HalfMath.ToHalf(oddLow[l], Rounding.NearestEven) << 16;
            p[16 + l] = HalfMath.ToHalf(evenHigh[l], Rounding.NearestEven) | HalfMath.ToHalf(oddHigh[l], Rounding.NearestEven) << 16;
        }
    }

    /// <summary>The same in the same order of k, from matrices laid out in memory: for processors without permutations across 512 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Portable<T>(Instr* i, byte* r, int pairs, bool half)
        where T : struct, IFragment
    {
        int accumulators = half ? 2 : 4, perPair = 4 * T.Halves;
        int* d = i->Ext;
        int* a = d + accumulators;
        int* b = a + (2 * pairs);
        int* c = b + pairs;
        float* ma = stackalloc float[16 * 16], mb = stackalloc float[16 * 8], mc = stackalloc float[16 * 8];
        float* line = stackalloc float[32];
        for (int p = 0; p < pairs; p++)
        {
            for (int h = 0; h < T.Halves; h++)
            {
                for (int row = 0; row < 2; row++)
                {
                    Unpack<T>(r + a[(2 * p) + row], h, line);
                    for (int l = 0; l < 32; l++)
                        ma[(((l >> 2) + (8 * row)) * 16) + (perPair * p) + (T.Halves * (l & 3)) + h] = line[l];
                }

                Unpack<T>(r + b[p], h, line);
                for (int l = 0; l < 32; l++)
                    mb[(((perPair * p) + (T.Halves * (l & 3)) + h) * 8) + (l >> 2)] = line[l];
            }
        }

        for (int e = 0; e < 4; e++)
        {
            var source = (uint*)(r + c[half ? e >> 1 : e]);
            for (int l = 0; l < 32; l++)
                mc[(((l >> 2) + (8 * (e >> 1))) * 8) + (2 * (l & 3)) + (e & 1)] = half ? HalfMath.FromHalf(source[l] >> (16 * (e & 1)) & 0xFFFF) : BitConverter.UInt32BitsToSingle(source[l]);
        }

        int depth = perPair * pairs;
        for (int row = 0; row < 16; row++)
        {
            Vector256<float> sum = Vector256.Load(mc + (8 * row));
            for (int k = 0; k < depth; k++)
                sum = Vector256.FusedMultiplyAdd(Vector256.Create(ma[(16 * row) + k]), Vector256.Load(mb + (8 * k)), sum);
            Vector256.ConditionalSelect(Vector256.Equals(sum, sum), sum, Vector256.Create(0x7FFFFFFFu).AsSingle()).Store(mc + (8 * row));
        }

        for (int e = 0; e < 4; e++)
        {
            var target = (uint*)(r + d[half ? e >> 1 : e]);
            for (int l = 0; l < 32; l++)
            {
                float v = mc[(((l >> 2) + (8 * (e >> 1))) * 8) + (2 * (l & 3)) + (e & 1)];
                if (!half)
                    target[l] = BitConverter.SingleToUInt32Bits(v);
                else if ((e & 1) == 0)
                    target[l] = HalfMath.ToHalf(v, Rounding.NearestEven);
                else
                    target[l] |= HalfMath.ToHalf(v, Rounding.NearestEven) << 16;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Unpack<T>(byte* register, int half, float* line)
        where T : struct, IFragment
    {
        var p = (Vector512<uint>*)register;
        T.Unpack(p[0], half).Store(line);
        T.Unpack(p[1], half).Store(line + 16);
    }

    /// <summary>The value of lane s of each quad in all its lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Quad(Vector512<uint> v, uint s) =>
        Avx512F.PermuteVar16x32(v, (Vector512<uint>.Indices & Vector512.Create(~3u)) + Vector512.Create(s));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Pick(Vector512<uint> low, Vector512<uint> high, Vector512<uint> index) => Avx512F.PermuteVar16x32x2(low, index, high);
}
