using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>What a pass of the scan produces besides the states at its end.</summary>
internal interface IScanPass;

/// <summary>The outputs.</summary>
internal struct OutputPass : IScanPass;

/// <summary>The outputs, and every decay and state for the walk back.</summary>
internal struct ReplayPass : IScanPass;

/// <summary>
/// Loops of the selective scan over one vector of channels and one chunk of positions. Buffers are [rows][lanes]; states and A log2 e are
/// [states][lanes]; B and C are read where they stand, one row of <c>stride</c> states per position. Eight or four states at a time stay in registers, what is
/// left of them goes one by one.
/// </summary>
internal static unsafe class ScanKernels<V, T> where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Positions per chunk: decays and states of four states of a chunk fit the first-level cache.</summary>
    internal const int Rows = 32;

    /// <summary>State h = exp(delta A) h + (delta u) B from position to position, and o += C h.</summary>
    /// <param name="delta">After softplus.</param>
    /// <param name="drive">delta u.</param>
    /// <param name="o">Outputs, added to.</param>
    /// <param name="b">B of the first position and state.</param>
    /// <param name="c">C, likewise.</param>
    /// <param name="stride">States per position of B and C.</param>
    /// <param name="a2">A log2 e.</param>
    /// <param name="limit">Largest delta for the decay, [lanes].</param>
    /// <param name="state">In and out.</param>
    /// <param name="states">1 or 4, or 8 where nothing is replayed.</param>
    /// <param name="length">Positions.</param>
    /// <param name="decay">For the walk back: [rows][states][lanes].</param>
    /// <param name="visited">For the walk back: states before each position and after the last, [rows + 1][states][lanes].</param>
    /// <param name="near">What to bring near meanwhile, <paramref name="nearStride"/> elements further at each position; any address.</param>
    /// <param name="alsoNear">Likewise, with eight states.</param>
    /// <param name="nearStride">Elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Scan<TPass>(T* delta, T* drive, T* o, T* b, T* c, nint stride, T* a2, T* limit, T* state, int states, int length, T* decay, T* visited, T* near, T* alsoNear, nint nearStride) where TPass : struct, IScanPass
    {
        if (states == 8) Scan8(delta, drive, o, b, c, stride, a2, limit, state, length, near, alsoNear, nearStride);
        else if (states == 4) Scan4<TPass>(delta, drive, o, b, c, stride, a2, limit, state, length, decay, visited, near, nearStride);
        else Scan1<TPass>(delta, drive, o, b, c, stride, a2, limit, state, length, decay, visited);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scan8(T* delta, T* drive, T* o, T* b, T* c, nint stride, T* a2, T* limit, T* state, int length, T* near, T* alsoNear, nint nearStride)
    {
        V s0 = V.Load(state), s1 = V.Load(state + V.Lanes), s2 = V.Load(state + 2 * V.Lanes), s3 = V.Load(state + 3 * V.Lanes);
        V s4 = V.Load(state + 4 * V.Lanes), s5 = V.Load(state + 5 * V.Lanes), s6 = V.Load(state + 6 * V.Lanes), s7 = V.Load(state + 7 * V.Lanes);
        V most = V.Load(limit);
        for (int t = 0; t < length; t++, delta += V.Lanes, drive += V.Lanes, b += stride, c += stride)
        {
            V d = V.Min(most, V.Load(delta)), x = V.Load(drive), y = V.Load(o), r = V.Zero;
            V.Prefetch(near);
            V.Prefetch(alsoNear);
            near += nearStride;
            alsoNear += nearStride;
            s0 = V.Fma(s0, ScanMath.Decay<V, T>(d * V.Load(a2)), x * V.Set(b[0])); y = V.Fma(s0, V.Set(c[0]), y);
            s1 = V.Fma(s1, ScanMath.Decay<V, T>(d * V.Load(a2 + 1 * V.Lanes)), x * V.Set(b[1])); r = V.Fma(s1, V.Set(c[1]), r);
            s2 = V.Fma(s2, ScanMath.Decay<V, T>(d * V.Load(a2 + 2 * V.Lanes)), x * V.Set(b[2])); y = V.Fma(s2, V.Set(c[2]), y);
            s3 = V.Fma(s3, ScanMath.Decay<V, T>(d * V.Load(a2 + 3 * V.Lanes)), x * V.Set(b[3])); r = V.Fma(s3, V.Set(c[3]), r);
            s4 = V.Fma(s4, ScanMath.Decay<V, T>(d * V.Load(a2 + 4 * V.Lanes)), x * V.Set(b[4])); y = V.Fma(s4, V.Set(c[4]), y);
            s5 = V.Fma(s5, ScanMath.Decay<V, T>(d * V.Load(a2 + 5 * V.Lanes)), x * V.Set(b[5])); r = V.Fma(s5, V.Set(c[5]), r);
            s6 = V.Fma(s6, ScanMath.Decay<V, T>(d * V.Load(a2 + 6 * V.Lanes)), x * V.Set(b[6])); y = V.Fma(s6, V.Set(c[6]), y);
            s7 = V.Fma(s7, ScanMath.Decay<V, T>(d * V.Load(a2 + 7 * V.Lanes)), x * V.Set(b[7])); r = V.Fma(s7, V.Set(c[7]), r);
            V.Store(o, y + r);
            o += V.Lanes;
        }
        Store4(state, s0, s1, s2, s3);
        Store4(state + 4 * V.Lanes, s4, s5, s6, s7);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scan4<TPass>(T* delta, T* drive, T* o, T* b, T* c, nint stride, T* a2, T* limit, T* state, int length, T* decay, T* visited, T* near, nint nearStride) where TPass : struct, IScanPass
    {
        V s0 = V.Load(state), s1 = V.Load(state + V.Lanes), s2 = V.Load(state + 2 * V.Lanes), s3 = V.Load(state + 3 * V.Lanes);
        V m0 = V.Load(a2), m1 = V.Load(a2 + V.Lanes), m2 = V.Load(a2 + 2 * V.Lanes), m3 = V.Load(a2 + 3 * V.Lanes), most = V.Load(limit);
        for (int t = 0; t < length; t++, delta += V.Lanes, drive += V.Lanes, b += stride, c += stride)
        {
            V d = V.Min(most, V.Load(delta)), x = V.Load(drive);
            V.Prefetch(near);
            near += nearStride;
            V e0 = ScanMath.Decay<V, T>(d * m0), e1 = ScanMath.Decay<V, T>(d * m1), e2 = ScanMath.Decay<V, T>(d * m2), e3 = ScanMath.Decay<V, T>(d * m3);
            if (typeof(TPass) == typeof(ReplayPass))
            {
                Store4(visited, s0, s1, s2, s3);
                Store4(decay, e0, e1, e2, e3);
                visited += 4 * V.Lanes;
                decay += 4 * V.Lanes;
            }
            s0 = V.Fma(s0, e0, x * V.Set(b[0]));
            s1 = V.Fma(s1, e1, x * V.Set(b[1]));
            s2 = V.Fma(s2, e2, x * V.Set(b[2]));
            s3 = V.Fma(s3, e3, x * V.Set(b[3]));
            V y = V.Fma(s2, V.Set(c[2]), V.Fma(s0, V.Set(c[0]), V.Load(o)));
            V.Store(o, V.Fma(s1, V.Set(c[1]), y) + s3 * V.Set(c[3]));
            o += V.Lanes;
        }
        Store4(state, s0, s1, s2, s3);
        if (typeof(TPass) == typeof(ReplayPass)) Store4(visited, s0, s1, s2, s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scan1<TPass>(T* delta, T* drive, T* o, T* b, T* c, nint stride, T* a2, T* limit, T* state, int length, T* decay, T* visited) where TPass : struct, IScanPass
    {
        V s = V.Load(state), a = V.Load(a2), most = V.Load(limit);
        for (int t = 0; t < length; t++, delta += V.Lanes, drive += V.Lanes, b += stride, c += stride)
        {
            V e = ScanMath.Decay<V, T>(V.Min(most, V.Load(delta)) * a);
            if (typeof(TPass) == typeof(ReplayPass))
            {
                V.Store(visited, s);
                V.Store(decay, e);
                visited += V.Lanes;
                decay += V.Lanes;
            }
            s = V.Fma(s, e, V.Load(drive) * V.Set(*b));
            V.Store(o, V.Fma(s, V.Set(*c), V.Load(o)));
            o += V.Lanes;
        }
        V.Store(state, s);
        if (typeof(TPass) == typeof(ReplayPass)) V.Store(visited, s);
    }

    /// <summary>
    /// The walk back over a replayed chunk: q, the gradient of the state, goes from position to position, and all sums over states and positions that
    /// gradients are made of grow.
    /// </summary>
    /// <param name="delta">After softplus.</param>
    /// <param name="drive">delta u.</param>
    /// <param name="go">Gradient of the output before the gate.</param>
    /// <param name="b">B of the first position and state.</param>
    /// <param name="c">C, likewise.</param>
    /// <param name="stride">States per position of B and C.</param>
    /// <param name="a2">A log2 e.</param>
    /// <param name="states">1 or 4.</param>
    /// <param name="length">Positions.</param>
    /// <param name="decay">From the replay.</param>
    /// <param name="visited">From the replay.</param>
    /// <param name="q">Gradient of the state after the chunk; receives that of the state before it.</param>
    /// <param name="da">Gradient of A, added to: [states][lanes].</param>
    /// <param name="db">Gradient of B by channel, added to: [rows][states][lanes].</param>
    /// <param name="dc">Gradient of C, likewise.</param>
    /// <param name="qb">Sum over states of q B, added to.</param>
    /// <param name="qa">Sum over states of q a h A log2 e, added to.</param>
    /// <param name="near">What to bring near meanwhile, with four states: what stands at the first position; <paramref name="nearStride"/> elements from one to the next.</param>
    /// <param name="nearStride">Elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Reverse(T* delta, T* drive, T* go, T* b, T* c, nint stride, T* a2, int states, int length, T* decay, T* visited, T* q, T* da, T* db, T* dc, T* qb, T* qa, T* near, nint nearStride)
    {
        if (states == 4) Reverse4(delta, drive, go, b, c, stride, a2, length, decay, visited, q, da, db, dc, qb, qa, near, nearStride);
        else Reverse1(delta, drive, go, b, c, stride, a2, length, decay, visited, q, da, db, dc, qb, qa);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Reverse4(T* delta, T* drive, T* go, T* b, T* c, nint stride, T* a2, int length, T* decay, T* visited, T* q, T* da, T* db, T* dc, T* qb, T* qa, T* near, nint nearStride)
    {
        V q0 = V.Load(q), q1 = V.Load(q + V.Lanes), q2 = V.Load(q + 2 * V.Lanes), q3 = V.Load(q + 3 * V.Lanes);
        V g0 = V.Zero, g1 = V.Zero, g2 = V.Zero, g3 = V.Zero;
        T* last = visited + 4 * length * V.Lanes;
        V h0 = V.Load(last), h1 = V.Load(last + V.Lanes), h2 = V.Load(last + 2 * V.Lanes), h3 = V.Load(last + 3 * V.Lanes);
        for (nint t = length - 1; t >= 0; t--)
        {
            nint at = t * V.Lanes;
            T* e = decay + 4 * at, h = visited + 4 * at, bt = b + t * stride, ct = c + t * stride, dbt = db + 4 * at, dct = dc + 4 * at;
            V g = V.Load(go + at), x = V.Load(drive + at), d = V.Load(delta + at), sb = V.Load(qb + at), sa = V.Load(qa + at), w;
            q0 = V.Fma(V.Set(ct[0]), g, q0);
            q1 = V.Fma(V.Set(ct[1]), g, q1);
            q2 = V.Fma(V.Set(ct[2]), g, q2);
            q3 = V.Fma(V.Set(ct[3]), g, q3);
            V.Prefetch(near + t * nearStride);
            Accumulate(dct, g, h0);
            Accumulate(dct + V.Lanes, g, h1);
            Accumulate(dct + 2 * V.Lanes, g, h2);
            Accumulate(dct + 3 * V.Lanes, g, h3);
            h0 = V.Load(h);
            h1 = V.Load(h + V.Lanes);
            h2 = V.Load(h + 2 * V.Lanes);
            h3 = V.Load(h + 3 * V.Lanes);
            Accumulate(dbt, x, q0);
            Accumulate(dbt + V.Lanes, x, q1);
            Accumulate(dbt + 2 * V.Lanes, x, q2);
            Accumulate(dbt + 3 * V.Lanes, x, q3);
            sb = V.Fma(q0, V.Set(bt[0]), sb);
            sb = V.Fma(q1, V.Set(bt[1]), sb);
            sb = V.Fma(q2, V.Set(bt[2]), sb);
            V.Store(qb + at, V.Fma(q3, V.Set(bt[3]), sb));
            q0 *= V.Load(e); w = q0 * h0; g0 = V.Fma(w, d, g0); sa = V.Fma(w, V.Load(a2), sa);
            q1 *= V.Load(e + V.Lanes); w = q1 * h1; g1 = V.Fma(w, d, g1); sa = V.Fma(w, V.Load(a2 + V.Lanes), sa);
            q2 *= V.Load(e + 2 * V.Lanes); w = q2 * h2; g2 = V.Fma(w, d, g2); sa = V.Fma(w, V.Load(a2 + 2 * V.Lanes), sa);
            q3 *= V.Load(e + 3 * V.Lanes); w = q3 * h3; g3 = V.Fma(w, d, g3); sa = V.Fma(w, V.Load(a2 + 3 * V.Lanes), sa);
            V.Store(qa + at, sa);
        }
        Store4(q, q0, q1, q2, q3);
        Store4(da, V.Load(da) + g0, V.Load(da + V.Lanes) + g1, V.Load(da + 2 * V.Lanes) + g2, V.Load(da + 3 * V.Lanes) + g3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Reverse1(T* delta, T* drive, T* go, T* b, T* c, nint stride, T* a2, int length, T* decay, T* visited, T* q, T* da, T* db, T* dc, T* qb, T* qa)
    {
        V r = V.Load(q), sum = V.Zero;
        for (nint t = length - 1; t >= 0; t--)
        {
            nint at = t * V.Lanes;
            V g = V.Load(go + at);
            r = V.Fma(V.Set(c[t * stride]), g, r);
            Accumulate(dc + at, g, V.Load(visited + at + V.Lanes));
            Accumulate(db + at, V.Load(drive + at), r);
            Accumulate(qb + at, r, V.Set(b[t * stride]));
            r *= V.Load(decay + at);
            V w = r * V.Load(visited + at);
            sum = V.Fma(w, V.Load(delta + at), sum);
            Accumulate(qa + at, w, V.Load(a2));
        }
        V.Store(q, r);
        V.Store(da, V.Load(da) + sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(T* sum, V a, V b) => V.Store(sum, V.Fma(a, b, V.Load(sum)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store4(T* p, V a, V b, V c, V d)
    {
        V.Store(p, a);
        V.Store(p + V.Lanes, b);
        V.Store(p + 2 * V.Lanes, c);
        V.Store(p + 3 * V.Lanes, d);
    }
}
