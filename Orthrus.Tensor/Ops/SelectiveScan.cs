using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Selective scan with softplus, skip and gate.</summary>
/// <remarks>u, delta, z (B, L, E); A_log (E, N); B, C (B, L, N); D, bias (E); initial (B, E, N). Source: Gu and Dao 2023.</remarks>
public sealed class SelectiveScan : IOp<NoAttr>
{
    private const int U = 0, Delta = 1, ALog = 2, Bt = 3, Ct = 4, D = 5, Z = 6, Bias = 7, Initial = 8;
    /// <inheritdoc/>
    public static string Name => "selective_scan";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new(
        [new("u"), new("delta"), new("A_log"), new("B"), new("C"), new("D"), new("z"), new("bias"), new("initial", Optional: true)], [new("y"), new("state")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;
    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var u = rule.Rank(U, 3);
        int n = rule.Rank(ALog, 2)[1];
        rule.Exactly(Delta, u);
        rule.Exactly(Z, u);
        var state = new Shape(u[0], u[2], n);
        rule.Exactly(Initial, state);
        rule.Out(0, u);
        rule.Out(1, state);
    }
    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        var s = args.Shape(U);
        int L = s[1], E = s[2], N = args.Shape(ALog)[1];
        for (int b = 0; b < s[0]; b++)
            for (int e = 0; e < E; e++)
            {
                var h = new R[N];
                for (int n = 0; n < N; n++) h[n] = args.Has(Initial) ? args.In(Initial)[(b * E + e) * N + n] : R.From(0);
                for (int t = 0; t < L; t++)
                {
                    int i = (b * L + t) * E + e, j = (b * L + t) * N;
                    var d = Real.Softplus(args.In(Delta)[i] + args.In(Bias)[e]);
                    var o = args.In(D)[e] * args.In(U)[i];
                    for (int n = 0; n < N; n++)
                    {
                        var a = -R.Exp(args.In(ALog)[e * N + n]);
                        h[n] = R.Exp(d * a) * h[n] + d * args.In(Bt)[j + n] * args.In(U)[i];
                        o += args.In(Ct)[j + n] * h[n];
                    }
                    args.Out(0)[i] = o * Real.SiLU(args.In(Z)[i]);
                }
                for (int n = 0; n < N; n++) args.Out(1)[(b * E + e) * N + n] = h[n];
            }
    }
    private static T Softplus<T>(T v) where T : unmanaged, IBinaryFloatingPointIeee754<T> => v > T.CreateChecked(20) ? v : T.CreateTruncating(SpecialFunctions.Log1p(Math.Exp(double.CreateTruncating(v))));
    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var s = args.Inputs[U].Shape;
        var job = new Job<T>
        {
            L = s[1], E = s[2], N = args.Inputs[ALog].Shape[1], Uu = args.Inputs[U].Pointer<T>(), De = args.Inputs[Delta].Pointer<T>(), Al = args.Inputs[ALog].Pointer<T>(),
            B = args.Inputs[Bt].Pointer<T>(), C = args.Inputs[Ct].Pointer<T>(), Sk = args.Inputs[D].Pointer<T>(), Zz = args.Inputs[Z].Pointer<T>(), Bi = args.Inputs[Bias].Pointer<T>(),
            H0 = CausalConv1d.P<T>(args.Inputs[Initial]), Y = args.Outputs[0].Pointer<T>(), H = args.Outputs[1].Pointer<T>(),
        };
        args.Workers.Run(s[0] * s[2], ref job);
    }
    private unsafe struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal int L, E, N;
        internal T* Uu, De, Al, B, C, Sk, Zz, Bi, H0, Y, H;
        public readonly void Run(int index)
        {
            int b = index / E, e = index % E;
            T* h = stackalloc T[N];
            T* a = stackalloc T[N];
            for (int n = 0; n < N; n++) (h[n], a[n]) = (H0 is null ? T.Zero : H0[(long)index * N + n], -T.Exp(Al[e * N + n]));
            for (int t = 0; t < L; t++)
            {
                long i = ((long)b * L + t) * E + e, j = ((long)b * L + t) * N;
                T d = Softplus(De[i] + Bi[e]), o = Sk[e] * Uu[i];
                for (int n = 0; n < N; n++)
                {
                    h[n] = T.Exp(d * a[n]) * h[n] + d * B[j + n] * Uu[i];
                    o += C[j + n] * h[n];
                }
                Y[i] = o * Zz[i] / (T.One + T.Exp(-Zz[i]));
            }
            for (int n = 0; n < N; n++) H[(long)index * N + n] = h[n];
        }
    }
    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var s = args.Inputs[U].Shape;
        int L = s[1], E = s[2], N = args.Inputs[ALog].Shape[1];
        foreach (var g in args.InputGrads)
            if (!g.IsNone) new Span<T>(g.Pointer<T>(), (int)g.Count).Clear();
        T* du = CausalConv1d.P<T>(args.InputGrads[U]), dd = CausalConv1d.P<T>(args.InputGrads[Delta]), da = CausalConv1d.P<T>(args.InputGrads[ALog]);
        T* dB = CausalConv1d.P<T>(args.InputGrads[Bt]), dC = CausalConv1d.P<T>(args.InputGrads[Ct]), dD = CausalConv1d.P<T>(args.InputGrads[D]);
        T* dz = CausalConv1d.P<T>(args.InputGrads[Z]), dbias = CausalConv1d.P<T>(args.InputGrads[Bias]), dh0 = CausalConv1d.P<T>(args.InputGrads[Initial]);
        T* u = args.Inputs[U].Pointer<T>(), de = args.Inputs[Delta].Pointer<T>(), al = args.Inputs[ALog].Pointer<T>(), bt = args.Inputs[Bt].Pointer<T>(), ct = args.Inputs[Ct].Pointer<T>();
        T* sk = args.Inputs[D].Pointer<T>(), z = args.Inputs[Z].Pointer<T>(), bi = args.Inputs[Bias].Pointer<T>(), h0 = CausalConv1d.P<T>(args.Inputs[Initial]);
        T* dy = CausalConv1d.P<T>(args.OutputGrads[0]), dh = CausalConv1d.P<T>(args.OutputGrads[1]);
        T* states = args.Scratch.Empty(new Shape(L + 1, N), args.Inputs[U].DType).Pointer<T>();
        T* q = stackalloc T[N];
        for (int b = 0; b < s[0]; b++)
            for (int e = 0; e < E; e++)
            {
                for (int n = 0; n < N; n++) states[n] = h0 is null ? T.Zero : h0[((long)b * E + e) * N + n];
                for (int t = 0; t < L; t++)
                {
                    long i = ((long)b * L + t) * E + e, j = ((long)b * L + t) * N;
                    T d = Softplus(de[i] + bi[e]);
                    for (int n = 0; n < N; n++)
                        states[(t + 1) * N + n] = T.Exp(-d * T.Exp(al[e * N + n])) * states[t * N + n] + d * bt[j + n] * u[i];
                }
                for (int n = 0; n < N; n++) q[n] = dh is null ? T.Zero : dh[((long)b * E + e) * N + n];
                for (int t = L - 1; t >= 0; t--)
                {
                    long i = ((long)b * L + t) * E + e, j = ((long)b * L + t) * N;
                    T pre = de[i] + bi[e], d = Softplus(pre), o = sk[e] * u[i], sz = T.One / (T.One + T.Exp(-z[i]));
                    T* h = states + (t + 1) * N;
                    for (int n = 0; n < N; n++) o += ct[j + n] * h[n];
                    T g = dy is null ? T.Zero : dy[i], go = g * z[i] * sz;
                    if (dz is not null) dz[i] = g * o * sz * (T.One + z[i] * (T.One - sz));
                    if (dD is not null) dD[e] += go * u[i];
                    T gu = sk[e] * go, gd = T.Zero;
                    for (int n = 0; n < N; n++)
                    {
                        T a = -T.Exp(al[e * N + n]), at = T.Exp(d * a), before = states[t * N + n];
                        if (dC is not null) dC[j + n] += go * h[n];
                        q[n] += ct[j + n] * go;
                        if (dB is not null) dB[j + n] += q[n] * d * u[i];
                        gu += q[n] * d * bt[j + n];
                        gd += q[n] * (bt[j + n] * u[i] + a * at * before);
                        if (da is not null) da[e * N + n] += q[n] * d * at * before * a;
                        q[n] *= at;
                    }
                    if (du is not null) du[i] = gu;
                    gd *= pre > T.CreateChecked(20) ? T.One : T.One / (T.One + T.Exp(-pre));
                    if (dd is not null) dd[i] = gd;
                    if (dbias is not null) dbias[e] += gd;
                }
                for (int n = 0; dh0 is not null && n < N; n++) dh0[((long)b * E + e) * N + n] = q[n];
            }
    }
    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => new(7 * rule.In(U).Shape.Count * rule.In(ALog).Shape.Last, rule.AllBytes(), 20 * rule.In(U).Shape.Count * rule.In(ALog).Shape.Last, rule.AllBytes());
    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        foreach (bool carry in new[] { true, false })
        {
            var x = SampleInput.Normal(new Shape(2, 6, 3));
            yield return new(carry ? "carry" : "plain", default, x, SampleInput.Normal(new Shape(2, 6, 3), 1, -1), SampleInput.Uniform(new Shape(3, 4), 0, 1.4), SampleInput.Normal(new Shape(2, 6, 4)),
                SampleInput.Normal(new Shape(2, 6, 4)), SampleInput.Normal(new Shape(3)), SampleInput.Normal(new Shape(2, 6, 3)), SampleInput.Normal(new Shape(3)), carry ? SampleInput.Normal(new Shape(2, 3, 4)) : SampleInput.Absent);
        }
    }
}
