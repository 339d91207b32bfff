using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>
/// How an access moves data between memory and registers, packed into an int: bits 0-1 log2 of the element's bytes, bits 2-4 elements (1, 2, 4),
/// bit 5 sign extension, bit 6 into a 16-bit register, bit 7 strong (volatile, relaxed, acquire, release), bit 8 the address register has 64 bits.
/// </summary>
internal static class MoveCode
{
    public const int Signed = 32, Into16 = 64, Strong = 128, Wide = 256;

    public static int Of(int elementBytes, int elements) => BitOperations.Log2((uint)elementBytes) | elements << 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Elements(int code) => code >> 2 & 7;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Width(int code) => (code >> 2 & 7) << (code & 3);
}

/// <summary>Data movement of loads and stores; the register offsets are in <c>Ext</c>.</summary>
internal static unsafe class Moves
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LoadContiguous(byte* p, Instr* i, byte* r, uint m)
    {
        int code = i->X;
        int* d = i->Ext;
        switch (code & 31)
        {
            case 2 | 1 << 2:
                Lanes.Store(r + d[0], Vector512.Load((uint*)p), Vector512.Load((uint*)p + 16), m);
                return;
            case 2 | 2 << 2 when Avx512F.IsSupported:
            {
                Vector512<uint> a = Vector512.Load((uint*)p), b = Vector512.Load((uint*)p + 16), c = Vector512.Load((uint*)p + 32), e = Vector512.Load((uint*)p + 48);
                Vector512<uint> even = Vector512<uint>.Indices << 1, odd = even | Vector512<uint>.One;
                Lanes.Store(r + d[0], Avx512F.PermuteVar16x32x2(a, even, b), Avx512F.PermuteVar16x32x2(c, even, e), m);
                Lanes.Store(r + d[1], Avx512F.PermuteVar16x32x2(a, odd, b), Avx512F.PermuteVar16x32x2(c, odd, e), m);
                return;
            }

            case 2 | 4 << 2 when Avx512F.IsSupported:
                Quads((uint*)p, r, d, m);
                return;
            case 3 | 1 << 2:
                Lanes.Store64(r + d[0], Vector512.Load((ulong*)p), Vector512.Load((ulong*)p + 8), Vector512.Load((ulong*)p + 16), Vector512.Load((ulong*)p + 24), m);
                return;
            case 1 | 1 << 2 when (code & MoveCode.Signed) == 0:
            {
                Vector512<ushort> v = Vector512.Load((ushort*)p);
                Lanes.Store(r + d[0], Vector512.WidenLower(v), Vector512.WidenUpper(v), m);
                return;
            }

            default:
                LoadStride(p, MoveCode.Width(code), i, r, m);
                return;
        }
    }

    private static void Quads(uint* p, byte* r, int* d, uint m)
    {
        // Four vectors hold 16 lanes of four words; two steps of permutation bring equal words together.
        Vector512<uint> low = Vector512.Create(0u, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
        Vector512<uint> high = low + Vector512.Create(2u);
        Vector512<uint>* x = stackalloc Vector512<uint>[8];
        for (int h = 0; h < 2; h++, p += 64)
        {
            Vector512<uint> a = Vector512.Load(p), b = Vector512.Load(p + 16), c = Vector512.Load(p + 32), e = Vector512.Load(p + 48);
            Vector512<uint> ab = Avx512F.PermuteVar16x32x2(a, low, b), ce = Avx512F.PermuteVar16x32x2(c, low, e);
            Vector512<uint> ab2 = Avx512F.PermuteVar16x32x2(a, high, b), ce2 = Avx512F.PermuteVar16x32x2(c, high, e);
            x[h] = Vector512.Create(ab.GetLower(), ce.GetLower());
            x[2 + h] = Vector512.Create(ab.GetUpper(), ce.GetUpper());
            x[4 + h] = Vector512.Create(ab2.GetLower(), ce2.GetLower());
            x[6 + h] = Vector512.Create(ab2.GetUpper(), ce2.GetUpper());
        }

        for (int k = 0; k < 4; k++)
            Lanes.Store(r + d[k], x[2 * k], x[(2 * k) + 1], m);
    }

    private static void LoadStride(byte* p, int width, Instr* i, byte* r, uint m)
    {
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            LoadLane(p + (l * width), i, r, l);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LoadUniform(byte* p, Instr* i, byte* r, uint m)
    {
        int code = i->X, n = MoveCode.Elements(code);
        for (int k = 0; k < n; k++)
        {
            if ((code & 3) == 3)
            {
                Vector512<ulong> v = Vector512.Create(((ulong*)p)[k]);
                Lanes.Store64(r + i->Ext[k], v, v, v, v, m);
            }
            else
            {
                Vector512<uint> v = Vector512.Create(Element(p, code, k));
                Lanes.Store(r + i->Ext[k], v, v, m);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LoadScattered(byte** pointers, Instr* i, byte* r, uint m)
    {
        if ((i->X & 31) == (2 | 1 << 2))
        {
            var d = (uint*)(r + i->Ext[0]);
            for (uint k = m; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                d[l] = *(uint*)pointers[l];
            }

            return;
        }

        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            LoadLane(pointers[l], i, r, l);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Element(byte* p, int code, int k)
    {
        switch (code & 3)
        {
            case 0:
            {
                uint v = (code & MoveCode.Signed) != 0 ? (uint)((sbyte*)p)[k] : p[k];
                return (code & MoveCode.Into16) != 0 ? v & 0xFFFF : v;
            }

            case 1:
                return (code & (MoveCode.Signed | MoveCode.Into16)) == MoveCode.Signed ? (uint)((short*)p)[k] : ((ushort*)p)[k];
            default:
                return ((uint*)p)[k];
        }
    }

    private static void LoadLane(byte* p, Instr* i, byte* r, int l)
    {
        int code = i->X, n = MoveCode.Elements(code);
        for (int k = 0; k < n; k++)
        {
            if ((code & 3) == 3)
                ((ulong*)(r + i->Ext[k]))[l] = ((ulong*)p)[k];
            else
                ((uint*)(r + i->Ext[k]))[l] = Element(p, code, k);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreContiguous(byte* p, Instr* i, byte* r, uint m)
    {
        int code = i->X;
        if ((code & 31) == (2 | 1 << 2))
        {
            var a = (Vector512<uint>*)(r + i->Ext[0]);
            Lanes.Store(p, a[0], a[1], m);
        }
        else if (m == Lanes.All && (code & 31) == (3 | 1 << 2))
        {
            var a = (Vector512<ulong>*)(r + i->Ext[0]);
            Lanes.Store64(p, a[0], a[1], a[2], a[3], m);
        }
        else if (m == Lanes.All && (code & 31) == (1 | 1 << 2))
        {
            var a = (Vector512<uint>*)(r + i->Ext[0]);
            Vector512.Narrow(a[0], a[1]).Store((ushort*)p);
        }
        else if ((code & 3) == 2)
        {
            int n = MoveCode.Elements(code);
            var q = (uint*)p;
            for (int k = 0; k < n; k++)
            {
                var a = (uint*)(r + i->Ext[k]);
                for (uint rest = m; rest != 0; rest &= rest - 1)
                {
                    int l = BitOperations.TrailingZeroCount(rest);
                    q[(l * n) + k] = a[l];
                }
            }
        }
        else
        {
            int width = MoveCode.Width(code);
            for (uint k = m; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                StoreLane(p + (l * width), i, r, l);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void StoreScattered(byte** pointers, Instr* i, byte* r, uint m)
    {
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            StoreLane(pointers[l], i, r, l);
        }
    }

    /// <summary>Stores of all lanes to one address: the highest lane wins.</summary>
    public static void StoreUniform(byte* p, Instr* i, byte* r, uint m) => StoreLane(p, i, r, 31 - BitOperations.LeadingZeroCount(m));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreLane(byte* p, Instr* i, byte* r, int l)
    {
        int code = i->X, n = MoveCode.Elements(code);
        for (int k = 0; k < n; k++)
        {
            byte* a = r + i->Ext[k];
            switch (code & 3)
            {
                case 0:
                    p[k] = (byte)((uint*)a)[l];
                    break;
                case 1:
                    ((ushort*)p)[k] = (ushort)((uint*)a)[l];
                    break;
                case 2:
                    ((uint*)p)[k] = ((uint*)a)[l];
                    break;
                default:
                    ((ulong*)p)[k] = ((ulong*)a)[l];
                    break;
            }
        }
    }
}
