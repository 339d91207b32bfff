using Orthrus.Tensor;

namespace Orthrus.Train.Probing;

/// <summary>A logistic regression at its optimum.</summary>
/// <param name="Model">Log-odds of each label.</param>
/// <param name="Objectives">Value of ½ |w|² + C Σ loss at the optimum, one per label.</param>
public sealed record LogisticFit(LinearModel Model, double[] Objectives)
{
    /// <summary>Probability of a label for one row of features.</summary>
    /// <param name="features">p numbers.</param>
    /// <param name="label">Which label, from 0.</param>
    public double Probability(ReadOnlySpan<double> features, int label) => 1 / (1 + Math.Exp(-Model.Predict(features, label)));
}

/// <summary>
/// Logistic regression with an L2 penalty, ½ |w|² + C Σ log(1 + exp(-s z)), and an intercept that is not penalised; one per label. Newton's method on the
/// principal components, where the Hessian is nearly diagonal, its steps by conjugate gradients (Nocedal and Wright 2006, 7.1). The optimum is unique,
/// and it is reached to rounding: library solvers with looser stopping rules differ in the third digit of the weights.
/// </summary>
internal static class LogisticProbe
{
    private const int MostSteps = 100, MostHalvings = 40, MostInner = 1000;
    private const double Precise = 1e-12, Acceptable = 1e-7;

    /// <summary>Fits every label.</summary>
    /// <param name="factor">The training features.</param>
    /// <param name="labels">n x k, row-major; true for the positive class.</param>
    /// <param name="c">C, the inverse of the penalty's weight.</param>
    /// <param name="workers">Threads: labels are fitted side by side.</param>
    /// <exception cref="ArgumentException">A label has one class only; the message says which.</exception>
    internal static LogisticFit Fit(FeatureFactor factor, bool[] labels, double c, WorkerPool workers)
    {
        int n = factor.Rows, count = labels.Length / n;
        if (labels.Length != n * count || count == 0) throw new ArgumentException($"{labels.Length} labels for {n} rows", nameof(labels));
        var solvers = new Solver[count];
        for (int k = 0; k < count; k++)
        {
            var y = new double[n];
            int positives = 0;
            for (int i = 0; i < n; i++)
            {
                y[i] = labels[i * count + k] ? 1 : 0;
                positives += labels[i * count + k] ? 1 : 0;
            }
            if (positives == 0 || positives == n)
                throw new ArgumentException($"label {k} has one class only in the {n} training rows, {(positives == 0 ? "no positive" : "no negative")}: there is nothing to fit", nameof(labels));
            solvers[k] = new Solver(factor, y, positives, c);
        }
        var job = new Job { Solvers = solvers };
        workers.Run(count, ref job);
        return new LogisticFit(new LinearModel([.. solvers.Select(s => s.Weights)], [.. solvers.Select(s => s.Intercept)]), [.. solvers.Select(s => s.Objective)]);
    }

    private struct Job : IParallelJob
    {
        internal Solver[] Solvers;

        public readonly void Run(int index) => Solvers[index].Run();
    }

    // Parameters are r coefficients of the columns of S, then the intercept of centred features.
    private sealed class Solver
    {
        private readonly FeatureFactor _factor;
        private readonly double[] _y, _scale, _curvature, _logits;
        private readonly double _c;
        private readonly int _rank;
        private double[] _at, _gradient;

        internal Solver(FeatureFactor factor, double[] y, int positives, double c)
        {
            _factor = factor;
            _y = y;
            _c = c;
            _rank = factor.Rank;
            _scale = new double[_rank];
            for (int j = 0; j < _rank; j++) _scale[j] = factor.Scale(j);
            _curvature = new double[y.Length];
            _logits = new double[y.Length];
            _at = new double[_rank + 1];
            _gradient = new double[_rank + 1];
            _at[_rank] = Math.Log((double)positives / (y.Length - positives));
        }

        internal double[] Weights { get; private set; } = [];
        internal double Intercept { get; private set; }
        internal double Objective { get; private set; }

        internal void Run()
        {
            Objective = Evaluate(_at, _gradient);
            double size = Math.Max(1, Largest(_gradient)), reached = Largest(_gradient);
            double start = Norm(_gradient);
            for (int step = 0; step < MostSteps && reached > Precise * size; step++)
            {
                double[] direction = Direction(Math.Min(0.1, Norm(_gradient) / Math.Max(start, double.Epsilon)));
                var trial = new double[_rank + 1];
                var gradient = new double[_rank + 1];
                double slope = Vec.Dot(direction, _gradient), length = 1;
                bool better = false;
                for (int halving = 0; halving < MostHalvings; halving++, length /= 2)
                {
                    for (int j = 0; j <= _rank; j++) trial[j] = _at[j] + length * direction[j];
                    double value = Evaluate(trial, gradient);
                    // Near the optimum the value is flat to rounding, and the gradient alone tells.
                    better = value <= Objective + 1e-4 * length * slope || (value <= Objective + 1e-13 * Math.Abs(Objective) && Largest(gradient) < reached);
                    if (!better) continue;
                    (_at, _gradient, Objective, reached) = (trial, gradient, value, Largest(gradient));
                    break;
                }
                if (!better) break;
            }
            // Rounding of the sums may keep the gradient from its goal; far from it the method has failed.
            if (reached > Acceptable * size) throw new ArithmeticException($"the logistic regression stopped at a gradient of {reached:G3}: the features are too large or not finite");
            Weights = _factor.Weights(_at.AsSpan(0, _rank));
            Intercept = _at[_rank] - Vec.Dot(_factor.Mean, Weights);
        }

        // Value and gradient; leaves the curvature p (1 - p) of each row for the steps that follow.
        private double Evaluate(double[] at, double[] gradient)
        {
            Logits(at, _logits);
            double value = 0.5 * Vec.Dot(at.AsSpan(0, _rank), at.AsSpan(0, _rank)), loss = 0, offset = 0;
            gradient.AsSpan().Clear();
            for (int i = 0; i < _y.Length; i++)
            {
                double z = _logits[i], e = Math.Exp(-Math.Abs(z)), p = z >= 0 ? 1 / (1 + e) : e / (1 + e);
                loss += (_y[i] > 0 ? Math.Max(-z, 0) : Math.Max(z, 0)) + Math.Log(1 + e);
                // Without the difference p - 1, which would lose small errors.
                double error = _y[i] > 0 ? (z >= 0 ? -e / (1 + e) : -1 / (1 + e)) : p;
                _curvature[i] = e / ((1 + e) * (1 + e));
                Vec.Add(error, _factor.Row(i), gradient);
                offset += error;
            }
            for (int j = 0; j < _rank; j++) gradient[j] = _c * _scale[j] * gradient[j] + at[j];
            gradient[_rank] = _c * offset;
            return value + _c * loss;
        }

        private void Logits(double[] at, double[] logits)
        {
            var scaled = new double[_rank];
            for (int j = 0; j < _rank; j++) scaled[j] = _scale[j] * at[j];
            for (int i = 0; i < logits.Length; i++) logits[i] = Vec.Dot(_factor.Row(i), scaled) + at[_rank];
        }

        // Solves Hessian d = -gradient by preconditioned conjugate gradients to a relative residual.
        private double[] Direction(double tolerance)
        {
            double curvature = _curvature.Sum(), average = curvature / _y.Length;
            var inverse = new double[_rank + 1];
            for (int j = 0; j < _rank; j++) inverse[j] = 1 / (1 + _c * average * _factor.Lambda[j]);
            inverse[_rank] = 1 / Math.Max(_c * curvature, 1e-300);
            var curvatures = (double[])_curvature.Clone();
            double[] d = new double[_rank + 1], r = Array.ConvertAll(_gradient, g => -g), z = new double[_rank + 1], image = new double[_rank + 1];
            for (int j = 0; j <= _rank; j++) z[j] = inverse[j] * r[j];
            double[] p = (double[])z.Clone();
            double product = Vec.Dot(r, z), goal = tolerance * tolerance * product;
            for (int k = 0; k < MostInner && product > goal; k++)
            {
                Curve(p, curvatures, image);
                double bend = Vec.Dot(p, image);
                if (!(bend > 0)) break;
                double length = product / bend;
                Vec.Add(length, p, d);
                Vec.Add(-length, image, r);
                for (int j = 0; j <= _rank; j++) z[j] = inverse[j] * r[j];
                double next = Vec.Dot(r, z);
                for (int j = 0; j <= _rank; j++) p[j] = z[j] + next / product * p[j];
                product = next;
            }
            return d;
        }

        private void Curve(double[] v, double[] curvatures, double[] image)
        {
            var along = new double[_y.Length];
            Logits(v, along);
            image.AsSpan().Clear();
            double offset = 0;
            for (int i = 0; i < along.Length; i++)
            {
                double f = curvatures[i] * along[i];
                Vec.Add(f, _factor.Row(i), image);
                offset += f;
            }
            for (int j = 0; j < _rank; j++) image[j] = _c * _scale[j] * image[j] + v[j];
            image[_rank] = _c * offset;
        }

        private static double Norm(double[] v) => Math.Sqrt(Vec.Dot(v, v));

        private static double Largest(double[] v)
        {
            double largest = 0;
            foreach (double x in v) largest = double.IsNaN(x) ? double.PositiveInfinity : Math.Max(largest, Math.Abs(x));
            return largest;
        }
    }
}
