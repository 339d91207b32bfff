using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Traffic with memory outside the caches, in bytes per second.</summary>
/// <param name="Read">Bytes read.</param>
/// <param name="Copy">Bytes of a copy, those read and those written counted both.</param>
public readonly record struct MemoryRate(double Read, double Copy);

/// <summary>
/// Measures what no kernel on this machine can exceed: fused multiply-adds between registers, and traffic with memory. The best of several rounds
/// counts, so that a short disturbance does not lower the limit.
/// </summary>
public static unsafe class MachineLimits
{
    private const int Chains = 12, Unrolled = 4, Rounds = 6;

    /// <summary>Floating-point operations per second of independent chains of fused multiply-adds, each of which counts two per lane.</summary>
    /// <typeparam name="T">float or double.</typeparam>
    /// <param name="width">Vector width: 512, 256 or 128 bits.</param>
    /// <param name="threads">Threads that compute at once; the rate is that of all together.</param>
    /// <param name="seconds">About how long to measure.</param>
    /// <exception cref="ArgumentException">No such width.</exception>
    /// <exception cref="ArgumentOutOfRangeException">No threads, or no time.</exception>
    public static double FmaRate<T>(int width, int threads = 1, double seconds = 0.06) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        VectorWidths.Checked(width);
        Check(threads, seconds);
        long times = 1 << 10;
        void Work(int _)
        {
            var code = new FmaCode<T> { Times = times };
            SimdDispatch.Run<T, FmaCode<T>>(width, ref code);
        }
        // The first round also compiles the loop.
        Best(1, 1, Work);
        double once;
        while ((once = Best(1, 1, Work)) < 5e-4) times *= 2;
        times = Math.Max(1, (long)(times * (seconds / Rounds / once)));
        return 2.0 * Chains * Unrolled * (width / 8 / sizeof(T)) * times * threads / Best(threads, Rounds, Work);
    }

    /// <summary>Traffic with memory over blocks that no cache holds.</summary>
    /// <param name="threads">Threads that move data at once; the rates are those of all together.</param>
    /// <param name="megabytes">Size of all blocks together.</param>
    /// <exception cref="ArgumentOutOfRangeException">No threads, or no memory.</exception>
    public static MemoryRate Memory(int threads = 1, int megabytes = 256)
    {
        Check(threads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(megabytes, threads);
        // Two halves per thread, whole pages.
        long half = ((long)megabytes << 20) / 2 / threads / 4096 * 4096, bytes = 2 * half * threads;
        byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        try
        {
            // Pages that were never written would all be one page of zeros.
            Best(threads, 1, i => NativeMemory.Fill(memory + 2 * half * i, (nuint)(2 * half), 1));
            double read = Best(threads, Rounds, i =>
            {
                var code = new ReadCode { Data = (double*)(memory + 2 * half * i), Count = 2 * half / sizeof(double) };
                SimdDispatch.Run<double, ReadCode>(VectorWidths.Default, ref code);
            });
            double copy = Best(threads, Rounds, i => NativeMemory.Copy(memory + 2 * half * i, memory + 2 * half * i + half, (nuint)half));
            return new MemoryRate(bytes / read, bytes / copy);
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private static void Check(int threads, double seconds)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(seconds);
    }

    /// <summary>Runs the same work on several threads, started together, and returns the seconds of the shortest round.</summary>
    private static double Best(int threads, int rounds, Action<int> work)
    {
        double best = double.PositiveInfinity;
        using var barrier = new Barrier(threads);
        var others = new Thread[threads - 1];
        for (int i = 0; i < others.Length; i++)
        {
            int index = i + 1;
            others[i] = new Thread(() =>
            {
                for (int r = 0; r < rounds; r++)
                {
                    barrier.SignalAndWait();
                    work(index);
                    barrier.SignalAndWait();
                }
            }) { IsBackground = true, Name = $"orthrus-probe-{index}" };
            others[i].Start();
        }
        for (int r = 0; r < rounds; r++)
        {
            barrier.SignalAndWait();
            long start = Stopwatch.GetTimestamp();
            work(0);
            barrier.SignalAndWait();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        foreach (var t in others) t.Join();
        return best;
    }

    private struct FmaCode<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal long Times;
        internal T Result;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            // Values grow from 0 by 1e-12 per step: neither subnormal nor infinite, whatever the number of steps.
            V a = V.Set(T.CreateTruncating(1e-6)), b = V.Set(T.CreateTruncating(1e-6));
            V c0 = V.Zero, c1 = V.Zero, c2 = V.Zero, c3 = V.Zero, c4 = V.Zero, c5 = V.Zero, c6 = V.Zero, c7 = V.Zero, c8 = V.Zero, c9 = V.Zero, c10 = V.Zero, c11 = V.Zero;
            for (long i = Times; i > 0; i--)
            {
                c0 = V.Fma(a, b, c0); c1 = V.Fma(a, b, c1); c2 = V.Fma(a, b, c2); c3 = V.Fma(a, b, c3); c4 = V.Fma(a, b, c4); c5 = V.Fma(a, b, c5);
                c6 = V.Fma(a, b, c6); c7 = V.Fma(a, b, c7); c8 = V.Fma(a, b, c8); c9 = V.Fma(a, b, c9); c10 = V.Fma(a, b, c10); c11 = V.Fma(a, b, c11);
                c0 = V.Fma(a, b, c0); c1 = V.Fma(a, b, c1); c2 = V.Fma(a, b, c2); c3 = V.Fma(a, b, c3); c4 = V.Fma(a, b, c4); c5 = V.Fma(a, b, c5);
                c6 = V.Fma(a, b, c6); c7 = V.Fma(a, b, c7); c8 = V.Fma(a, b, c8); c9 = V.Fma(a, b, c9); c10 = V.Fma(a, b, c10); c11 = V.Fma(a, b, c11);
                c0 = V.Fma(a, b, c0); c1 = V.Fma(a, b, c1); c2 = V.Fma(a, b, c2); c3 = V.Fma(a, b, c3); c4 = V.Fma(a, b, c4); c5 = V.Fma(a, b, c5);
                c6 = V.Fma(a, b, c6); c7 = V.Fma(a, b, c7); c8 = V.Fma(a, b, c8); c9 = V.Fma(a, b, c9); c10 = V.Fma(a, b, c10); c11 = V.Fma(a, b, c11);
                c0 = V.Fma(a, b, c0); c1 = V.Fma(a, b, c1); c2 = V.Fma(a, b, c2); c3 = V.Fma(a, b, c3); c4 = V.Fma(a, b, c4); c5 = V.Fma(a, b, c5);
                c6 = V.Fma(a, b, c6); c7 = V.Fma(a, b, c7); c8 = V.Fma(a, b, c8); c9 = V.Fma(a, b, c9); c10 = V.Fma(a, b, c10); c11 = V.Fma(a, b, c11);
            }
            // Chains whose end nobody reads would be removed.
            Result = V.Sum(c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11);
        }
    }

    private struct ReadCode : IVectorCode<double>
    {
        internal double* Data;
        internal long Count;
        internal double Result;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<V>() where V : unmanaged, ISimd<V, double>
        {
            V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero;
            for (double* p = Data, end = Data + Count; p < end; p += 4 * V.Lanes)
            {
                s0 += V.Load(p);
                s1 += V.Load(p + V.Lanes);
                s2 += V.Load(p + 2 * V.Lanes);
                s3 += V.Load(p + 3 * V.Lanes);
            }
            Result = V.Sum(s0 + s1 + s2 + s3);
        }
    }
}
