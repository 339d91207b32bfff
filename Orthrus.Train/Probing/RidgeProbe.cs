namespace Orthrus.Train.Probing;

/// <summary>A linear model: one or more outputs of p features.</summary>
/// <param name="Weights">One row of p weights per output.</param>
/// <param name="Intercepts">One per output.</param>
public sealed record LinearModel(double[][] Weights, double[] Intercepts)
{
    /// <summary>Output k for one row of features: intercept + weights . features.</summary>
    /// <param name="features">p numbers.</param>
    /// <param name="output">Which output, from 0.</param>
    public double Predict(ReadOnlySpan<double> features, int output) => Intercepts[output] + Vec.Dot(features, Weights[output]);
}

/// <summary>A ridge regression with its choice of penalty.</summary>
/// <param name="Model">The model, refitted on all training rows with the chosen penalty.</param>
/// <param name="Alpha">The penalty with the smallest mean squared leave-one-out error; the first of equals.</param>
/// <param name="SquaredErrors">Squared leave-one-out errors, [alpha][row * targets + target].</param>
/// <param name="MeanSquaredErrors">Their means over rows and targets, one per alpha.</param>
public sealed record RidgeFit(LinearModel Model, double Alpha, double[][] SquaredErrors, double[] MeanSquaredErrors);

/// <summary>
/// Ridge regression with an intercept that is not penalised, its penalty chosen by leave-one-out error in closed form, in double. Source: specification 8.2;
/// agrees with scikit-learn's RidgeCV.
/// </summary>
internal static class RidgeProbe
{
    /// <summary>Penalties of the published probing script: 0.0001 to 100.</summary>
    internal static readonly double[] DefaultAlphas = [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100];

    /// <summary>Fits all targets with one common penalty.</summary>
    /// <param name="factor">The training features.</param>
    /// <param name="targets">n x k, row-major.</param>
    /// <param name="alphas">Penalties to choose from, all above 0.</param>
    internal static RidgeFit Fit(FeatureFactor factor, double[] targets, IReadOnlyList<double> alphas)
    {
        int n = factor.Rows, count = targets.Length / n, rank = factor.Rank;
        if (targets.Length != n * count || count == 0) throw new ArgumentException($"{targets.Length} target values for {n} rows", nameof(targets));
        if (alphas.Count == 0 || alphas.Any(a => !(a > 0))) throw new ArgumentException("penalties must be above 0", nameof(alphas));
        var mean = new double[count];
        var centred = new double[count][];
        var products = new double[count][];
        for (int k = 0; k < count; k++)
        {
            double sum = 0;
            for (int i = 0; i < n; i++) sum += targets[i * count + k];
            mean[k] = sum / n;
            centred[k] = new double[n];
            products[k] = new double[rank];
            for (int i = 0; i < n; i++)
            {
                centred[k][i] = targets[i * count + k] - mean[k];
                Vec.Add(centred[k][i], factor.Row(i), products[k]);
            }
        }
        var errors = new double[alphas.Count][];
        var means = new double[alphas.Count];
        int best = 0;
        for (int a = 0; a < alphas.Count; a++)
        {
            errors[a] = LeaveOneOut(factor, centred, products, alphas[a]);
            means[a] = errors[a].Sum() / errors[a].Length;
            if (means[a] < means[best]) best = a;
        }
        var weights = new double[count][];
        var intercepts = new double[count];
        for (int k = 0; k < count; k++)
        {
            var u = new double[rank];
            for (int j = 0; j < rank; j++) u[j] = factor.Scale(j) * products[k][j] / (factor.Lambda[j] + alphas[best]);
            weights[k] = factor.Weights(u);
            intercepts[k] = mean[k] - Vec.Dot(factor.Mean, weights[k]);
        }
        return new RidgeFit(new LinearModel(weights, intercepts), alphas[best], errors, means);
    }

    // Error of row i without row i: (y - fit)_i / (1 - h_ii - 1/n).
    private static double[] LeaveOneOut(FeatureFactor factor, double[][] centred, double[][] products, double alpha)
    {
        int n = factor.Rows, count = centred.Length;
        var errors = new double[n * count];
        var share = new double[factor.Rank];
        var fit = new double[count][];
        for (int j = 0; j < share.Length; j++) share[j] = (factor.Complete ? alpha : 1) / (factor.Lambda[j] + alpha);
        for (int k = 0; k < count; k++)
        {
            fit[k] = new double[share.Length];
            for (int j = 0; j < share.Length; j++) fit[k][j] = share[j] * products[k][j];
        }
        for (int i = 0; i < n; i++)
        {
            // With U complete both are sums of what is left over, without a difference of large numbers.
            double squares = Vec.SquaresDot(factor.Row(i), share), left = factor.Complete ? squares : 1 - 1.0 / n - squares;
            for (int k = 0; k < count; k++)
            {
                double along = Vec.Dot(factor.Row(i), fit[k]), residual = factor.Complete ? along : centred[k][i] - along;
                double error = residual / left;
                errors[i * count + k] = error * error;
            }
        }
        return errors;
    }
}
