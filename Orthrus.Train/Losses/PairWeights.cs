namespace Orthrus.Train;

/// <summary>Weights of the attraction by kind of pair. A weight of zero removes the attraction alone: the pair stays among the negatives.</summary>
/// <param name="Self">Of a transcript with itself.</param>
/// <param name="Splice">Of two isoforms.</param>
/// <param name="Ortholog">Of orthologs; 0.8 in the published models of the second generation.</param>
public readonly record struct PairWeights(double Self, double Splice, double Ortholog)
{
    /// <summary>All 1.</summary>
    public static PairWeights Ones => new(1, 1, 1);

    /// <summary>The weight of a kind.</summary>
    public double Of(PairKind kind) => kind switch { PairKind.Self => Self, PairKind.Splice => Splice, _ => Ortholog };

    /// <summary>The weights of a batch.</summary>
    internal double[] Of(PairKind[] kinds) => Array.ConvertAll(kinds, Of);
}

/// <summary>The weight of a loss over the steps: evenly from a first to a last value, then constant.</summary>
/// <param name="Start">At step 0.</param>
/// <param name="End">After the ramp.</param>
/// <param name="AnnealSteps">Steps of the ramp, both ends included; 0 has no ramp.</param>
public readonly record struct LossRamp(double Start, double End, int AnnealSteps = 0)
{
    /// <summary>The same weight at every step.</summary>
    public static LossRamp Constant(double weight) => new(weight, weight);

    /// <summary>The weight at a step.</summary>
    /// <param name="step">Steps already done, from 0.</param>
    public double At(long step)
    {
        if (step >= AnnealSteps) return End;
        return AnnealSteps == 1 ? Start : step == AnnealSteps - 1 ? End : Start + step * ((End - Start) / (AnnealSteps - 1));
    }
}
