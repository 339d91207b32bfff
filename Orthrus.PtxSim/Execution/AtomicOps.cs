using System.Numerics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

internal enum AtomicKind
{
    Exchange,
    CompareAndSwap,
    Add,
    Inc,
    Dec,
    MinSigned,
    MaxSigned,
    MinUnsigned,
    MaxUnsigned,
    And,
    Or,
    Xor,
    AddFloat,
    AddDouble,
    AddHalf,
    AddHalf2,
    AddBrain,
    AddBrain2,
}

/// <summary>
/// atom and red. A: address, B: value, C: second value of cas, D: old value (atom); X: kind in bits 16 up, <see cref="MoveCode"/> of one element below;
/// Ext[0] is 1 for atom. The lanes of a warp go one after the other from a lane that the seed chooses.
/// </summary>
internal sealed unsafe partial class Core
{
    public static Instr* AtomicGlobal(Core core, Instr* i, byte* r, uint m)
    {
        int width = MoveCode.Width(i->X);
        AccessShape shape = core.Locate(i, r, m, width, true);
        core.Spread(m, width, shape);
        core.Poll();
        if (core.checks)
        {
            core.CheckGlobal(i, m, width, AccessShape.Scattered, false, true);
            core.CheckGlobal(i, m, width, AccessShape.Scattered, true, true);
        }

        core.Apply(i, r, m, width);
        return i + 1;
    }

    public static Instr* AtomicShared(Core core, Instr* i, byte* r, uint m)
    {
        int width = MoveCode.Width(i->X);
        SharedPattern* p = core.LocateShared(i, r, m, width, true);
        core.Poll();
        if (core.checks)
        {
            core.CheckShared(i, p, m, false, true);
            core.CheckShared(i, p, m, true, true);
        }

        core.SetPointers(p, core.Block.Shared + core.sharedFrom, m);
        core.Apply(i, r, m, width);
        return i + 1;
    }

    public static Instr* AtomicLocal(Core core, Instr* i, byte* r, uint m) =>
        throw core.Fault(FaultKind.OutOfBounds, i, BitOperations.TrailingZeroCount(m), 0, "an atomic operation on local memory");

    private void Apply(Instr* i, byte* r, uint m, int width)
    {
        var kind = (AtomicKind)(i->X >> 16);
        bool returns = i->Ext[0] == 1;
        int start = launch.Random.Next(32);
        for (int k = 0; k < 32; k++)
        {
            int l = (start + k) & 31;
            if ((m >> l & 1) == 0)
                continue;
            if (width == 8)
            {
                var p = (ulong*)Pointers[l];
                ulong old = *p, b = ((ulong*)(r + i->B))[l], c = ((ulong*)(r + i->C))[l];
                *p = kind switch
                {
                    AtomicKind.Exchange => b,
                    AtomicKind.CompareAndSwap => old == b ? c : old,
                    AtomicKind.Add => old + b,
                    AtomicKind.MinSigned => (ulong)Math.Min((long)old, (long)b),
                    AtomicKind.MaxSigned => (ulong)Math.Max((long)old, (long)b),
                    AtomicKind.MinUnsigned => Math.Min(old, b),
                    AtomicKind.MaxUnsigned => Math.Max(old, b),
                    AtomicKind.And => old & b,
                    AtomicKind.Or => old | b,
                    AtomicKind.Xor => old ^ b,
                    _ => BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(old) + BitConverter.UInt64BitsToDouble(b)),
                };
                if (returns)
                    ((ulong*)(r + i->D))[l] = old;
            }
            else
            {
                byte* p = Pointers[l];
                uint old = width == 4 ? *(uint*)p : *(ushort*)p, b = ((uint*)(r + i->B))[l], c = ((uint*)(r + i->C))[l];
                uint value = Result(kind, old, b, c);
                if (width == 4)
                    *(uint*)p = value;
                else
                    *(ushort*)p = (ushort)value;
                if (returns)
                    ((uint*)(r + i->D))[l] = old;
            }
        }
    }

    private static uint Result(AtomicKind kind, uint old, uint b, uint c) => kind switch
    {
        AtomicKind.Exchange => b,
        AtomicKind.CompareAndSwap => old == b ? c : old,
        AtomicKind.Add => old + b,
        AtomicKind.Inc => old >= b ? 0 : old + 1,
        AtomicKind.Dec => old == 0 || old > b ? b : old - 1,
        AtomicKind.MinSigned => (uint)Math.Min((int)old, (int)b),
        AtomicKind.MaxSigned => (uint)Math.Max((int)old, (int)b),
        AtomicKind.MinUnsigned => Math.Min(old, b),
        AtomicKind.MaxUnsigned => Math.Max(old, b),
        AtomicKind.And => old & b,
        AtomicKind.Or => old | b,
        AtomicKind.Xor => old ^ b,
        AtomicKind.AddFloat => Canonical(BitConverter.UInt32BitsToSingle(old) + BitConverter.UInt32BitsToSingle(b)),
        AtomicKind.AddHalf => HalfMath.Add(old, b),
        AtomicKind.AddHalf2 => HalfMath.Add(old & 0xFFFF, b & 0xFFFF) | HalfMath.Add(old >> 16, b >> 16) << 16,
        AtomicKind.AddBrain => HalfMath.AddBrain(old, b),
        _ => HalfMath.AddBrain(old & 0xFFFF, b & 0xFFFF) | HalfMath.AddBrain(old >> 16, b >> 16) << 16,
    };

    private static uint Canonical(float v) => float.IsNaN(v) ? 0x7FFFFFFF : BitConverter.SingleToUInt32Bits(v);
}
