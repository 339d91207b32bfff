using System.Runtime.Intrinsics;

namespace Orthrus.PtxSim.Execution;

/// <summary>Comparisons of setp and set. Unordered float comparisons are the negation of the ordered opposite.</summary>
internal static class CompareOps
{
    public readonly struct Eq : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.Equals(a, b);
    }

    public readonly struct Ne : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => ~Vector512.Equals(a, b);
    }

    public readonly struct LtS : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.LessThan(a.AsInt32(), b.AsInt32()).AsUInt32();
    }

    public readonly struct LeS : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.LessThanOrEqual(a.AsInt32(), b.AsInt32()).AsUInt32();
    }

    public readonly struct LtU : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.LessThan(a, b);
    }

    public readonly struct LeU : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.LessThanOrEqual(a, b);
    }

    public readonly struct EqF : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.Equals(a.AsSingle(), b.AsSingle()).AsUInt32();
    }

    public readonly struct LtF : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.LessThan(a.AsSingle(), b.AsSingle()).AsUInt32();
    }

    public readonly struct LeF : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.LessThanOrEqual(a.AsSingle(), b.AsSingle()).AsUInt32();
    }

    /// <summary>Ordered and different.</summary>
    public readonly struct NeF : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => LtF.Do(a, b) | LtF.Do(b, a);
    }

    /// <summary>Both are numbers.</summary>
    public readonly struct Num : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => EqF.Do(a, a) & EqF.Do(b, b);
    }

    public readonly struct FtzEq : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => EqF.Do(FloatOps.Flush(a.AsSingle()).AsUInt32(), FloatOps.Flush(b.AsSingle()).AsUInt32());
    }

    public readonly struct FtzNe : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => NeF.Do(FloatOps.Flush(a.AsSingle()).AsUInt32(), FloatOps.Flush(b.AsSingle()).AsUInt32());
    }

    public readonly struct FtzLt : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => LtF.Do(FloatOps.Flush(a.AsSingle()).AsUInt32(), FloatOps.Flush(b.AsSingle()).AsUInt32());
    }

    public readonly struct FtzLe : ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => LeF.Do(FloatOps.Flush(a.AsSingle()).AsUInt32(), FloatOps.Flush(b.AsSingle()).AsUInt32());
    }

    public readonly struct NotF<T> : ICompare32
        where T : struct, ICompare32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => ~T.Do(a, b);
    }

    public readonly struct Eq64 : ICompare64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.Equals(a, b);
    }

    public readonly struct Ne64 : ICompare64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => ~Vector512.Equals(a, b);
    }

    public readonly struct LtS64 : ICompare64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.LessThan(a.AsInt64(), b.AsInt64()).AsUInt64();
    }

    public readonly struct LeS64 : ICompare64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.LessThanOrEqual(a.AsInt64(), b.AsInt64()).AsUInt64();
    }

    public readonly struct LtU64 : ICompare64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.LessThan(a, b);
    }

    public readonly struct LeU64 : ICompare64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.LessThanOrEqual(a, b);
    }
}
