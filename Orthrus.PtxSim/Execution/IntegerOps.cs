using System.Runtime.Intrinsics;

namespace Orthrus.PtxSim.Execution;

/// <summary>Integer and bit operations on vectors of lanes. 16-bit values lie zero-extended in 32-bit lanes.</summary>
internal static class IntegerOps
{
    private static Vector512<uint> Low16 => Vector512.Create(0xFFFFu);

    public readonly struct Move : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a;
    }

    public readonly struct Not : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => ~a;
    }

    public readonly struct Not16 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a ^ Low16;
    }

    public readonly struct Neg : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Vector512<uint>.Zero - a;
    }

    public readonly struct Abs : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Vector512.Abs(a.AsInt32()).AsUInt32();
    }

    public readonly struct Zero8 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a & Vector512.Create(0xFFu);
    }

    public readonly struct Zero16 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a & Low16;
    }

    public readonly struct High16 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a >> 16;
    }

    public readonly struct Sign8 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => ((a << 24).AsInt32() >> 24).AsUInt32();
    }

    public readonly struct Sign16 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => ((a << 16).AsInt32() >> 16).AsUInt32();
    }

    /// <summary>Sign of 8 bits into a 16-bit register.</summary>
    public readonly struct Sign8To16 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => ((a << 24).AsInt32() >> 24).AsUInt32() & Low16;
    }

    public readonly struct Pack16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a & Low16) | (b << 16);
    }

    public readonly struct Pack8 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a & Vector512.Create(0xFFu)) | (b & Vector512.Create(0xFFu)) << 8;
    }

    public readonly struct Add : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => a + b;
    }

    public readonly struct Sub : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => a - b;
    }

    public readonly struct Mul : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => a * b;
    }

    public readonly struct Add16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a + b) & Low16;
    }

    public readonly struct Sub16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a - b) & Low16;
    }

    public readonly struct Mul16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a * b) & Low16;
    }

    public readonly struct MulWideU16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a & Low16) * (b & Low16);
    }

    public readonly struct MulWideS16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Sign16.Do(a) * Sign16.Do(b);
    }

    public readonly struct And : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => a & b;
    }

    public readonly struct Or : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => a | b;
    }

    public readonly struct Xor : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => a ^ b;
    }

    public readonly struct MinS : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.Min(a.AsInt32(), b.AsInt32()).AsUInt32();
    }

    public readonly struct MaxS : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.Max(a.AsInt32(), b.AsInt32()).AsUInt32();
    }

    public readonly struct MinU : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.Min(a, b);
    }

    public readonly struct MaxU : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Vector512.Max(a, b);
    }

    public readonly struct Shl : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Shift.Left(a, b);
    }

    public readonly struct ShrU : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Shift.Right(a, b);
    }

    public readonly struct ShrS : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Shift.Arithmetic(a, b);
    }

    public readonly struct Shl16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Shift.Left(a, b) & Low16;
    }

    public readonly struct ShrU16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Shift.Right(a & Low16, b);
    }

    public readonly struct ShrS16 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Shift.Arithmetic(Sign16.Do(a), b) & Low16;
    }

    public readonly struct Mad : ITernary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => (a * b) + c;
    }

    public readonly struct Mad16 : ITernary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => ((a * b) + c) & Low16;
    }

    public readonly struct MadWideU16 : ITernary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => MulWideU16.Do(a, b) + c;
    }

    public readonly struct MadWideS16 : ITernary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => MulWideS16.Do(a, b) + c;
    }

    public readonly struct Move64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => a;
    }

    public readonly struct Not64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => ~a;
    }

    public readonly struct Neg64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => Vector512<ulong>.Zero - a;
    }

    public readonly struct Abs64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => Vector512.Abs(a.AsInt64()).AsUInt64();
    }

    public readonly struct Add64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => a + b;
    }

    public readonly struct Sub64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => a - b;
    }

    public readonly struct Mul64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => a * b;
    }

    public readonly struct And64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => a & b;
    }

    public readonly struct Or64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => a | b;
    }

    public readonly struct Xor64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => a ^ b;
    }

    public readonly struct MinS64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.Min(a.AsInt64(), b.AsInt64()).AsUInt64();
    }

    public readonly struct MaxS64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.Max(a.AsInt64(), b.AsInt64()).AsUInt64();
    }

    public readonly struct MinU64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.Min(a, b);
    }

    public readonly struct MaxU64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Vector512.Max(a, b);
    }

    public readonly struct Shl64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Shift.Left(a, b);
    }

    public readonly struct ShrU64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Shift.Right(a, b);
    }

    public readonly struct ShrS64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => Shift.Arithmetic(a, b);
    }

    public readonly struct Mad64 : ITernary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c) => (a * b) + c;
    }

    /// <summary>Product of operands that were widened from 32 bits; the third operand is ignored.</summary>
    public readonly struct MulOnly64 : ITernary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c) => a * b;
    }
}
