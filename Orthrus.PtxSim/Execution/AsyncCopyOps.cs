using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>
/// cp.async and its waits, ldmatrix, fences. The data of cp.async lies in place at once, but its target counts as untouchable until the issuing
/// warp has waited.
/// </summary>
internal sealed unsafe partial class Core
{
    /// <summary>cp.async: Cache holds the source (global) and target (shared) as two instructions, Imm the bytes of a lane, C the bytes really read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* CopyAsync(Core core, Instr* i, byte* r, uint m)
    {
        int width = (int)i->Imm;
        var source = (Instr*)i->Cache;
        Instr* target = source + 1;
        var sizes = (uint*)(r + i->C);
        SharedPattern* p = core.LocateShared(target, r, m, width, true);
        uint from = core.sharedFrom;
        uint read = 0;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            if (sizes[l] > (uint)width)
                throw core.Fault(FaultKind.OutOfBounds, i, l, 0, $"cp.async of {width} bytes with a source size of {sizes[l]}");
            if (sizes[l] != 0)
                read |= 1u << l;
        }

        AccessShape shape = AccessShape.Scattered;
        if (read != 0)
        {
            shape = core.Locate(source, r, read, width, false);
            if (core.checks)
                core.CheckGlobal(source, read, width, shape, false, false);
            core.Spread(read, width, shape);
        }

        if (core.checks)
            core.CheckShared(target, p, m, true, false);
        byte* memory = core.Block.Shared + from;
        var offsets = (int*)&p->Low;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            byte* to = memory + (offsets[l] - p->From);
            uint size = sizes[l];
            if (size == 16)
                Unsafe.CopyBlockUnaligned(to, core.Pointers[l], 16);
            else
            {
                if (size != 0)
                    Unsafe.CopyBlockUnaligned(to, core.Pointers[l], size);
                Unsafe.InitBlockUnaligned(to + size, 0, (uint)width - size);
            }
        }

        if (core.checks)
            core.MarkPending(i, p, from, width, m);
        return i + 1;
    }

    public static Instr* CommitCopies(Core core, Instr* i, byte* r, uint m)
    {
        core.Warp.CopyGroup++;
        return i + 1;
    }

    /// <summary>cp.async.wait_group X, or wait_all with X = -1 (which needs no commit).</summary>
    public static Instr* WaitCopies(Core core, Instr* i, byte* r, uint m)
    {
        WarpState warp = core.Warp;
        long done = i->X < 0 ? long.MaxValue : warp.CopyGroup - i->X;
        int kept = 0;
        for (int c = 0; c < warp.CopyCount; c++)
        {
            if (warp.Copies[c].Group >= done)
            {
                if (kept != c)
                    warp.Copies[kept] = warp.Copies[c];
                kept++;
                continue;
            }

            core.FinishCopy(ref warp.Copies[c]);
        }

        warp.CopyCount = kept;
        return i + 1;
    }

    private void MarkPending(Instr* i, SharedPattern* p, uint from, int width, uint m)
    {
        WarpState warp = Warp;
        if (warp.CopyCount == warp.Copies.Length)
            Array.Resize(ref warp.Copies, warp.Copies.Length * 2);
        ref AsyncCopy copy = ref warp.Copies[warp.CopyCount++];
        copy.Group = warp.CopyGroup;
        copy.Mask = m;
        copy.Bytes = width;
        copy.Issuer = i;
        var offsets = (int*)&p->Low;
        int shift = Block.GranuleShift;
        int count = width >> shift;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            uint at = (uint)(from + offsets[l] - p->From);
            copy.Targets[l] = at;
            Stamp(Block.Writers + (at >> shift), count, SharedStamp.Pending);
        }
    }

    private void FinishCopy(ref AsyncCopy copy)
    {
        int shift = Block.GranuleShift;
        int count = copy.Bytes >> shift;
        for (uint k = copy.Mask; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            Stamp(Block.Writers + (copy.Targets[l] >> shift), count, sharedStamp | (uint)l);
        }
    }

    private static void Stamp(uint* writers, int count, uint stamp)
    {
        if (count == 4)
            Vector128.Create(stamp).Store(writers);
        else
            new Span<uint>(writers, count).Fill(stamp);
    }

    /// <summary>ldmatrix: Ext holds the 1, 2 or 4 targets, X bits 10-12 their number and bit 13 .trans; the lower bits are a <see cref="MoveCode"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* LoadMatrix(Core core, Instr* i, byte* r, uint m)
    {
        if (m != Lanes.All && !core.Gather(i, ref m, core.Warp.Alive, out Instr* next))
            return next;
        if (m != Lanes.All)
            throw core.Fault(FaultKind.MemberMask, i, BitOperations.TrailingZeroCount(m), 0, $"ldmatrix needs all 32 lanes, lanes 0x{m:x8} execute it");
        int matrices = i->X >> 10 & 7;
        uint rows = matrices == 4 ? Lanes.All : (1u << (8 * matrices)) - 1;
        SharedPattern* p = core.LocateShared(i, r, rows, 16, false);
        if (core.checks)
            core.CheckShared(i, p, rows, false, false);
        byte* memory = core.Block.Shared + core.sharedFrom - p->From;
        var offsets = (int*)&p->Low;
        bool transposed = (i->X >> 13 & 1) != 0;
        for (int k = 0; k < matrices; k++)
        {
            byte* d = r + i->Ext[k];
            int* o = offsets + (8 * k);
            if (!transposed)
            {
                for (int row = 0; row < 8; row++)
                    Unsafe.CopyBlockUnaligned(d + (16 * row), memory + o[row], 16);
            }
            else
            {
                for (int l = 0; l < 32; l++)
                {
                    uint low = ((ushort*)(memory + o[2 * (l & 3)]))[l >> 2];
                    uint high = ((ushort*)(memory + o[(2 * (l & 3)) + 1]))[l >> 2];
                    ((uint*)d)[l] = low | high << 16;
                }
            }
        }

        return i + 1;
    }

    /// <summary>membar and fence beyond the block.</summary>
    public static Instr* Fence(Core core, Instr* i, byte* r, uint m)
    {
        core.launch.Fence(core.Block);
        return i + 1;
    }
}
