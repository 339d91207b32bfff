using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor;

namespace Orthrus.Train.Probing;

/// <summary>
/// All eigenvalues and eigenvectors of a symmetric matrix in double: Householder's reduction to tridiagonal form, then the implicit QL iteration (Wilkinson and
/// Reinsch 1971, procedures tred2 and tql2). The rotations are recorded and applied to the vectors in bulk, a few columns at a time, which stay in the cache;
/// the reduction reads the matrix once per step. Work is cut by the size alone: the same bits for every number of threads.
/// </summary>
internal sealed class SymmetricEigen
{
    // Columns of the vectors that one item of work carries through all reflections and rotations.
    private const int SliceWidth = 16;

    // Rotations that are recorded before they are applied: 4 MB of them, which the last cache holds.
    private const int Batch = 1 << 18;

    private const int MostSweeps = 60, ReductionItems = 8, SmallestShared = 192;

    private readonly int _n;
    private readonly double[] _values, _off;

    // Eigenvectors as rows, [slice][row][SliceWidth].
    private readonly double[] _slices;
    private readonly WorkerPool _workers;
    private readonly List<(int High, int Low, int First)> _runs = [];
    private readonly double[] _cosines = new double[Batch], _sines = new double[Batch];
    private int _recorded;

    private SymmetricEigen(int n, WorkerPool workers)
    {
        _n = n;
        _workers = workers;
        _values = new double[n];
        _off = new double[n];
        _slices = new double[(long)Slices * n * SliceWidth];
    }

    private int Slices => (_n + SliceWidth - 1) / SliceWidth;

    /// <summary>Decomposes a matrix.</summary>
    /// <param name="matrix">n x n, row-major; its lower triangle is read, and the matrix is overwritten by the eigenvectors: row j is the j-th.</param>
    /// <param name="n">Order.</param>
    /// <param name="workers">Threads.</param>
    /// <returns>Eigenvalues, largest first.</returns>
    /// <exception cref="ArithmeticException">The matrix holds NaN or infinity.</exception>
    internal static double[] Decompose(double[] matrix, int n, WorkerPool workers)
    {
        if (n == 0) return [];
        var e = new SymmetricEigen(n, workers);
        double[] scales = e.Reduce(matrix);
        e.Accumulate(matrix, scales);
        e.Iterate();
        return e.Sorted(matrix);
    }

    private static Span<double> Row(double[] a, int n, int i) => a.AsSpan(i * n, n);

    // Step k reflects rows and columns k+1.. so that column k has one element below the diagonal. Its vector stays in row k of the upper triangle, from column
    // k + 1 on; the rank-2 update of a step and the product with the next step's vector go over the matrix together.
    private double[] Reduce(double[] a)
    {
        int n = _n;
        var scales = new double[n];
        double[] v = new double[n], w = new double[n], next = new double[n], product = new double[n];
        double[] partial = new double[ReductionItems * n];
        bool pending = false;
        for (int k = 0; k < n; k++)
        {
            // Bring column k up to date: rows k.. of it, through the row of a symmetric matrix.
            if (pending)
                for (int i = k; i < n; i++) a[(long)i * n + k] -= v[i] * w[k] + w[i] * v[k];
            _values[k] = a[(long)k * n + k];
            if (k >= n - 1) break;
            double tail = 0, largest = 0;
            for (int i = k + 1; i < n; i++) largest = Math.Max(largest, Math.Abs(a[(long)i * n + k]));
            if (!double.IsFinite(largest) || double.IsNaN(_values[k])) throw new ArithmeticException("the matrix holds NaN or infinity");
            next.AsSpan(0, k + 1).Clear();
            if (largest > 0)
                for (int i = k + 1; i < n; i++)
                {
                    next[i] = a[(long)i * n + k] / largest;
                    if (i > k + 1) tail += next[i] * next[i];
                }
            double scale = 0;
            if (tail == 0)
            {
                // Nothing to reflect.
                _off[k] = largest == 0 ? 0 : a[(long)(k + 1) * n + k];
                next.AsSpan(k + 1).Clear();
            }
            else
            {
                double first = next[k + 1], norm = tail + first * first;
                double image = first > 0 ? -Math.Sqrt(norm) : Math.Sqrt(norm);
                _off[k] = image * largest;
                next[k + 1] = first - image;
                scale = 1 / (norm - image * first);
            }
            scales[k] = scale;
            next.AsSpan(k + 1).CopyTo(Row(a, n, k)[(k + 1)..]);
            Pass(a, k + 1, pending, v, w, next, product, partial);
            // w = scale (A v) - (scale² v'Av / 2) v
            double half = 0.5 * scale * scale * Vec.Dot(product.AsSpan(k + 1), next.AsSpan(k + 1));
            for (int i = k + 1; i < n; i++)
            {
                w[i] = scale * product[i] - half * next[i];
                v[i] = next[i];
            }
            pending = scale != 0;
        }
        _off[n - 1] = 0;
        return scales;
    }

    // Rows first.. of the lower triangle: minus v w' + w v' where that is pending, and their product with the next vector.
    private void Pass(double[] a, int first, bool pending, double[] v, double[] w, double[] next, double[] product, double[] partial)
    {
        int m = _n - first;
        int items = m >= SmallestShared ? ReductionItems : 1;
        var job = new ReductionJob { A = a, N = _n, First = first, Items = items, Pending = pending, V = v, W = w, Next = next, Partial = partial };
        if (items == 1) job.Run(0);
        else _workers.Run(items, ref job);
        partial.AsSpan(first, m).CopyTo(product.AsSpan(first));
        for (int i = 1; i < items; i++) Vec.Add(1, partial.AsSpan(i * _n + first, m), product.AsSpan(first));
    }

    private struct ReductionJob : IParallelJob
    {
        internal double[] A, V, W, Next, Partial;
        internal int N, First, Items;
        internal bool Pending;

        public readonly void Run(int index)
        {
            int m = N - First;
            // Bounds of equal area under a triangle.
            int begin = First + (int)(m * Math.Sqrt((double)index / Items)), end = First + (int)(m * Math.Sqrt((double)(index + 1) / Items));
            if (index == Items - 1) end = N;
            var sum = Partial.AsSpan(index * N, N);
            sum[First..].Clear();
            for (int i = begin; i < end; i++)
            {
                var row = A.AsSpan((int)((long)i * N) + First, i - First + 1);
                sum[i] += Row(row, Pending ? V[i] : 0, Pending ? W[i] : 0, Next[i], V.AsSpan(First), W.AsSpan(First), Next.AsSpan(First), sum[First..]);
            }
        }

        // row -= vi w + wi v; sum += next_i row (without the diagonal); returns row . next.
        private static double Row(Span<double> row, double vi, double wi, double nextI, ReadOnlySpan<double> v, ReadOnlySpan<double> w, ReadOnlySpan<double> next, Span<double> sum)
        {
            ref double r = ref MemoryMarshal.GetReference(row);
            ref double pv = ref MemoryMarshal.GetReference(v), pw = ref MemoryMarshal.GetReference(w), pn = ref MemoryMarshal.GetReference(next), ps = ref MemoryMarshal.GetReference(sum);
            int lanes = Vector<double>.Count, last = row.Length - 1, j = 0;
            Vector<double> fv = new(vi), fw = new(wi), fn = new(nextI), dots = default;
            for (; j <= last - lanes; j += lanes)
            {
                var x = Vec.Load(ref r, j) - fv * Vec.Load(ref pw, j) - fw * Vec.Load(ref pv, j);
                Vec.Store(x, ref r, j);
                dots += x * Vec.Load(ref pn, j);
                Vec.Store(Vec.Load(ref ps, j) + fn * x, ref ps, j);
            }
            double dot = Vector.Sum(dots);
            for (; j <= last; j++)
            {
                double x = row[j] -= vi * w[j] + wi * v[j];
                dot += x * next[j];
                if (j < last) sum[j] += nextI * x;
            }
            return dot;
        }
    }

    // The rows of the transposed product of all reflections, slice by slice.
    private void Accumulate(double[] a, double[] scales)
    {
        var job = new AccumulateJob { Owner = this, A = a, Scales = scales };
        _workers.Run(Slices, ref job);
    }

    private struct AccumulateJob : IParallelJob
    {
        internal SymmetricEigen Owner;
        internal double[] A, Scales;

        public readonly void Run(int index)
        {
            int n = Owner._n;
            var columns = Owner.Slice(index);
            for (int c = 0; c < SliceWidth && index * SliceWidth + c < n; c++) columns[(index * SliceWidth + c) * SliceWidth + c] = 1;
            ref double slice = ref MemoryMarshal.GetReference(columns);
            int lanes = Vector<double>.Count;
            for (int k = 0; k < n - 2; k++)
            {
                if (Scales[k] == 0) continue;
                var v = Row(A, n, k);
                for (int c = 0; c < SliceWidth; c += 2 * lanes)
                {
                    Vector<double> left = default, right = default;
                    for (int i = k + 1; i < v.Length; i++)
                    {
                        var f = new Vector<double>(v[i]);
                        left += f * Vec.Load(ref slice, i * SliceWidth + c);
                        right += f * Vec.Load(ref slice, i * SliceWidth + c + lanes);
                    }
                    left *= Scales[k];
                    right *= Scales[k];
                    for (int i = k + 1; i < v.Length; i++)
                    {
                        var f = new Vector<double>(v[i]);
                        Vec.Store(Vec.Load(ref slice, i * SliceWidth + c) - f * left, ref slice, i * SliceWidth + c);
                        Vec.Store(Vec.Load(ref slice, i * SliceWidth + c + lanes) - f * right, ref slice, i * SliceWidth + c + lanes);
                    }
                }
            }
        }
    }

    private Span<double> Slice(int index) => _slices.AsSpan(index * _n * SliceWidth, _n * SliceWidth);

    private void Iterate()
    {
        double[] d = _values, e = _off;
        for (int l = 0; l < _n; l++)
        {
            for (int sweep = 0; ; sweep++)
            {
                int m = l;
                for (; m < _n - 1; m++)
                {
                    double size = Math.Abs(d[m]) + Math.Abs(d[m + 1]);
                    if (Math.Abs(e[m]) + size == size) break;
                }
                if (m == l) break;
                if (sweep == MostSweeps) throw new ArithmeticException("the iteration for eigenvalues does not converge");
                Sweep(l, m);
            }
        }
        Apply();
    }

    private void Sweep(int l, int m)
    {
        if (_recorded + m - l > Batch) Apply();
        double[] d = _values, e = _off;
        double g = (d[l + 1] - d[l]) / (2 * e[l]), r = Hypotenuse(g, 1);
        g = d[m] - d[l] + e[l] / (g + Math.CopySign(r, g));
        double s = 1, c = 1, p = 0;
        int first = _recorded, i = m - 1;
        for (; i >= l; i--)
        {
            double f = s * e[i], b = c * e[i];
            e[i + 1] = r = Hypotenuse(f, g);
            if (r == 0)
            {
                d[i + 1] -= p;
                e[m] = 0;
                break;
            }
            s = f / r;
            c = g / r;
            g = d[i + 1] - p;
            r = (d[i] - g) * s + 2 * c * b;
            p = s * r;
            d[i + 1] = g + p;
            g = c * r - b;
            _cosines[_recorded] = c;
            _sines[_recorded++] = s;
        }
        if (_recorded > first) _runs.Add((m - 1, i + 1, first));
        if (i >= l) return;
        d[l] -= p;
        e[l] = g;
        e[m] = 0;
    }

    private static double Hypotenuse(double a, double b)
    {
        a = Math.Abs(a);
        b = Math.Abs(b);
        double large = Math.Max(a, b), ratio = large == 0 ? 0 : Math.Min(a, b) / large;
        return large * Math.Sqrt(1 + ratio * ratio);
    }

    private void Apply()
    {
        var job = new RotateJob { Owner = this };
        _workers.Run(Slices, ref job);
        _runs.Clear();
        _recorded = 0;
    }

    private struct RotateJob : IParallelJob
    {
        internal SymmetricEigen Owner;

        public readonly void Run(int index)
        {
            ref double slice = ref MemoryMarshal.GetReference(Owner.Slice(index));
            int lanes = Vector<double>.Count;
            foreach (var (high, low, first) in CollectionsMarshal.AsSpan(Owner._runs))
            {
                var cosines = Owner._cosines.AsSpan(first, high - low + 1);
                var sines = Owner._sines.AsSpan(first, high - low + 1);
                // Two vectors side by side: each waits for its own rotation before.
                for (int c = 0; c < SliceWidth; c += 2 * lanes)
                {
                    int at = (high + 1) * SliceWidth + c;
                    Vector<double> left = Vec.Load(ref slice, at), right = Vec.Load(ref slice, at + lanes);
                    for (int i = 0; i < cosines.Length; i++, at -= SliceWidth)
                    {
                        Vector<double> cosine = new(cosines[i]), sine = new(sines[i]);
                        Vector<double> lowerLeft = Vec.Load(ref slice, at - SliceWidth), lowerRight = Vec.Load(ref slice, at - SliceWidth + lanes);
                        Vec.Store(sine * lowerLeft + cosine * left, ref slice, at);
                        Vec.Store(sine * lowerRight + cosine * right, ref slice, at + lanes);
                        left = cosine * lowerLeft - sine * left;
                        right = cosine * lowerRight - sine * right;
                    }
                    Vec.Store(left, ref slice, at);
                    Vec.Store(right, ref slice, at + lanes);
                }
            }
        }
    }

    private double[] Sorted(double[] vectors)
    {
        int n = _n;
        int[] order = [.. Enumerable.Range(0, n)];
        Array.Sort(order, (x, y) => _values[x] != _values[y] ? _values[y].CompareTo(_values[x]) : x.CompareTo(y));
        var values = new double[n];
        for (int j = 0; j < n; j++)
        {
            values[j] = _values[order[j]];
            var row = Row(vectors, n, j);
            for (int s = 0; s < Slices; s++)
            {
                int width = Math.Min(SliceWidth, n - s * SliceWidth);
                Slice(s).Slice(order[j] * SliceWidth, width).CopyTo(row[(s * SliceWidth)..]);
            }
        }
        return values;
    }
}
