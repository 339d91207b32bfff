using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.Train.Probing;

namespace Orthrus.Train;

/// <summary>
/// A change of an encoder's coordinates that leaves what it computes as it is: an orthogonal matrix R that turns the residual stream, and a new weight and bias of the last norm.
/// </summary>
/// <remarks>
/// A layer norm subtracts the mean over the numbers at a position and divides by their deviation. Where R leaves the vector of ones alone, neither changes when the stream is turned: the norm of R x
/// is R times the norm of x. So R goes into all that writes to the stream (embedding, out_proj), its transpose into all that reads from it (in_proj, together with the weight of the norm before),
/// and between the last norm and its weight there is room for R once more: the embedding becomes diag(weight) R p + bias, with p the pooled norm without weight and bias.
/// </remarks>
/// <param name="turn">R, D x D row by row; null for no turn.</param>
/// <param name="weight">New weight of the last norm.</param>
/// <param name="bias">Its new bias.</param>
internal sealed class StreamRotation(double[]? turn, double[] weight, double[] bias)
{
    // Of the mean variance: components below are noise of rounding and are not enlarged further.
    private const double SmallestVariance = 1e-6;
    // Of the largest weight of a norm: the inverse of smaller ones would carry rounding into what reads from it.
    private const double SmallestWeight = 1e-4;

    private readonly int _width = weight.Length;

    internal static double[] Mean(double[][] rows) => [.. Enumerable.Range(0, rows[0].Length).Select(i => rows.Average(r => r[i]))];

    /// <summary>The turn after which the numbers of embeddings are their principal components, to within an imbalance of the first two, with variances v brought to v^(1 - 2 power), 1 in the mean.</summary>
    /// <remarks>
    /// Pooled norms lie in the plane of vectors of sum 0, with D - 1 principal axes, and R has to map that plane to itself. Its axes go to the columns of Helmert's matrix H in order of their variance: number i of
    /// the result is then mostly component i - 1, with a small share of components of less variance only, so the numbers are nearly uncorrelated; the first component is in the first two numbers.
    /// </remarks>
    /// <exception cref="CheckpointException">The last norm has weights of 0.</exception>
    internal static StreamRotation Principal(OrthrusModel model, double[][] embeddings, double power)
    {
        int d = model.Config.DModel, axes = d - 1;
        double[] oldWeight = Usable(model, "norm_f"), oldBias = model.Encoder["norm_f.bias"].ToDouble();
        double[][] pooled = [.. embeddings.Select(e => e.Select((v, i) => (v - oldBias[i]) / oldWeight[i]).ToArray())];
        double[] mean = Mean(pooled), helmert = Helmert(d);
        double[][] inPlane = [.. pooled.Select(p => TransposedTimes(helmert, axes, p.Select((v, i) => v - mean[i]).ToArray()))];
        var vectors = new double[axes * axes];
        foreach (double[] p in inPlane)
            for (int i = 0; i < axes; i++)
                for (int j = 0; j <= i; j++) vectors[i * axes + j] += p[i] * p[j] / inPlane.Length;
        double[] variance;
        using (var workers = new WorkerPool(1)) variance = SymmetricEigen.Decompose(vectors, axes, workers);

        // R = H V^T H^T + 1 1^T / D, with the eigenvectors as rows of `vectors`.
        var turn = new double[d * d];
        var turned = new double[axes * d];
        for (int k = 0; k < axes; k++)
            for (int j = 0; j < axes; j++)
                for (int c = 0; c < d; c++) turned[k * d + c] += vectors[k * axes + j] * helmert[c * axes + j];
        for (int r = 0; r < d; r++)
            for (int c = 0; c < d; c++)
            {
                double sum = 1.0 / d;
                for (int k = 0; k < axes; k++) sum += helmert[r * axes + k] * turned[k * d + c];
                turn[r * d + c] = sum;
            }

        double average = variance.Sum() / d;
        double[] scale = new double[d];
        for (int i = 0; i < d; i++)
        {
            double v = 0;
            for (int k = 0; k < axes; k++) v += helmert[i * axes + k] * helmert[i * axes + k] * Math.Max(variance[k], 0);
            // The first two numbers share the first component, and together count as one.
            scale[i] = Math.Pow(Math.Max(v, SmallestVariance * average), -power) * (i < 2 ? Math.Pow(2, -power) : 1);
        }
        double[] centre = Times(turn, d, mean), squares = new double[d];
        foreach (double[] p in pooled)
        {
            double[] t = Times(turn, d, p);
            for (int i = 0; i < d; i++) squares[i] += (t[i] - centre[i]) * (t[i] - centre[i]) / pooled.Length;
        }
        double total = squares.Select((s, i) => s * scale[i] * scale[i]).Sum(), size = total > 0 ? Math.Sqrt(d / total) : 1;
        double[] weight = Array.ConvertAll(scale, s => s * size);
        return new(turn, weight, [.. weight.Select((w, i) => -w * centre[i])]);
    }

    /// <summary>The model in the new coordinates.</summary>
    /// <exception cref="CheckpointException">A head has no bias that could take the shift, or a norm has weights of 0.</exception>
    internal OrthrusModel Apply(OrthrusModel model)
    {
        var encoder = new StateDict();
        foreach (var t in model.Encoder) encoder.Add(Encoder(model, t));
        var heads = new StateDict();
        var described = model.DescribeHeads();
        string[] firsts = [.. described.Where(h => h.Layers > 0).Select(h => h.Name + (h.PerPosition ? ".fc1" : ".layers.0"))];
        if (firsts.FirstOrDefault(f => !model.Heads.Contains(f + ".bias")) is { } without)
            throw new CheckpointException(model.Source, without, "the layer has no bias that could take the shift of standardised embeddings", "leave the head out");
        foreach (var t in model.Heads)
        {
            if (described.Any(h => h.Layers == 0 && t.Name.StartsWith(h.Name + ".", StringComparison.Ordinal))) continue;
            string first = t.Name[..Math.Max(0, t.Name.LastIndexOf('.'))];
            if (!firsts.Contains(first)) heads.Add(t);
            else if (t.Name.EndsWith(".weight", StringComparison.Ordinal)) heads.Add(Of(t, HeadWeight(model, t.ToDouble())));
            else
            {
                // Before: A (w p + b) + a. Now: A' (w' R p + b') + a' with A' w' R = A w.
                double[] old = model.Heads[first + ".weight"].ToDouble(), now = HeadWeight(model, old), b = model.Encoder["norm_f.bias"].ToDouble();
                heads.Add(Of(t, [.. t.ToDouble().Select((v, row) => v + Dot(old, row, b) - Dot(now, row, bias))]));
            }
        }
        return new OrthrusModel
        {
            Config = model.Config, Encoder = encoder, Heads = heads, Name = model.Name, Source = model.Source, Format = model.Format, Sha256 = model.Sha256, Trained = model.Trained, Task = model.Task, Provenance = model.Provenance,
        };
    }

    private StateTensor Encoder(OrthrusModel model, StateTensor t)
    {
        if (t.Name == "norm_f.weight") return Of(t, weight);
        if (t.Name == "norm_f.bias") return Of(t, bias);
        if (turn is null) return t;
        double[] v = t.ToDouble();
        string layer = t.Name.StartsWith("layers.", StringComparison.Ordinal) ? string.Join('.', t.Name.Split('.').Take(2)) : "";
        // What writes to the stream; each column of the matrix is a vector of it.
        if (t.Name is "embedding.weight" or "embedding.bias" || t.Name.EndsWith(".out_proj.weight", StringComparison.Ordinal))
        {
            int columns = v.Length / _width;
            double[] result = new double[v.Length], column = new double[_width];
            for (int c = 0; c < columns; c++)
            {
                for (int r = 0; r < _width; r++) column[r] = v[r * columns + c];
                double[] turned = Times(turn, _width, column);
                for (int r = 0; r < _width; r++) result[r * columns + c] = turned[r];
            }
            return Of(t, result);
        }
        // What reads from it takes over the weight of the norm before; its bias is turned with the rest.
        if (t.Name.EndsWith(".in_proj.weight", StringComparison.Ordinal)) return Of(t, ReadTurned(v, Usable(model, layer + ".norm")));
        if (t.Name == layer + ".norm.weight") return Of(t, [.. Enumerable.Repeat(1.0, _width)]);
        if (t.Name == layer + ".norm.bias")
        {
            double[] w = Usable(model, layer + ".norm");
            return Of(t, Times(turn, _width, [.. v.Select((b, i) => b / w[i])]));
        }
        return t;
    }

    // A diag(w) R^T diag(1 / w').
    private double[] HeadWeight(OrthrusModel model, double[] matrix)
    {
        double[] old = model.Encoder["norm_f.weight"].ToDouble();
        double[] result = turn is null ? [.. matrix.Select((a, i) => a * old[i % _width])] : ReadTurned(matrix, old);
        // A number with weight 0 is constant, and the bias accounts for it.
        for (int i = 0; i < result.Length; i++) result[i] = weight[i % _width] == 0 ? 0 : result[i] / weight[i % _width];
        return result;
    }

    // A diag(w) R^T.
    private double[] ReadTurned(double[] matrix, double[] w)
    {
        var result = new double[matrix.Length];
        for (int start = 0; start < matrix.Length; start += _width)
        {
            double[] row = [.. w.Select((x, i) => x * matrix[start + i])];
            Times(turn!, _width, row).CopyTo(result, start);
        }
        return result;
    }

    private static double[] Usable(OrthrusModel model, string norm)
    {
        double[] w = model.Encoder[norm + ".weight"].ToDouble();
        double largest = w.Max(Math.Abs);
        return w.All(x => Math.Abs(x) > SmallestWeight * largest) ? w : throw new CheckpointException(model.Source, norm + ".weight", "has weights of nearly 0, which cannot be inverted", "standardise without whitening");
    }

    /// <summary>D x (D - 1), row by row: columns of length 1, orthogonal to each other and to the vector of ones. Column k holds k equal numbers and one that balances them.</summary>
    private static double[] Helmert(int d)
    {
        var h = new double[d * (d - 1)];
        for (int k = 1; k < d; k++)
        {
            double root = Math.Sqrt((double)k * (k + 1));
            for (int i = 0; i < k; i++) h[i * (d - 1) + k - 1] = 1 / root;
            h[k * (d - 1) + k - 1] = -k / root;
        }
        return h;
    }

    private static double[] Times(double[] matrix, int d, double[] x)
    {
        var y = new double[matrix.Length / d];
        for (int r = 0; r < y.Length; r++) y[r] = Dot(matrix, r, x);
        return y;
    }

    private static double[] TransposedTimes(double[] matrix, int columns, double[] x)
    {
        var y = new double[columns];
        for (int r = 0; r < x.Length; r++)
            for (int c = 0; c < columns; c++) y[c] += matrix[r * columns + c] * x[r];
        return y;
    }

    private static double Dot(double[] matrix, int row, double[] x)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += matrix[row * x.Length + i] * x[i];
        return sum;
    }

    private static StateTensor Of(StateTensor t, double[] values) => StateTensor.FromSingle(t.Name, Array.ConvertAll(values, v => (float)v), [.. t.Shape]);
}
