namespace Orthrus.Train;

/// <summary>How the learning rate moves over the steps.</summary>
public enum LearningRateKind : byte
{
    /// <summary>From a tenth (or <see cref="LearningRateSchedule.First"/>) to the whole rate over the warm-up, then half a cosine down to 0 at the last step.</summary>
    WarmupCosine,
    /// <summary>From a tenth to the whole rate over all steps.</summary>
    Linear,
    /// <summary>From a tenth to the whole rate over the warm-up, then constant. It does not depend on the number of steps.</summary>
    Warmup,
    /// <summary>Constant.</summary>
    Constant,
    /// <summary>Falls by the same factor at every step, from the whole rate to a hundredth of it after the last.</summary>
    Exponential,
}

/// <summary>Learning rate by step.</summary>
/// <param name="Kind">Its form.</param>
/// <param name="TotalSteps">Steps of the run.</param>
/// <param name="WarmupSteps">Steps of the warm-up; null takes a tenth of all, at most 10,000, which may be a fraction.</param>
/// <param name="First">Factor at the first step of a ramp.</param>
public sealed record LearningRateSchedule(LearningRateKind Kind, long TotalSteps, double? WarmupSteps = null, double First = 0.1)
{
    /// <summary>Steps of the warm-up.</summary>
    public double Warmup => WarmupSteps ?? Math.Min(10_000, 0.1 * TotalSteps);

    /// <summary>Factor on the base rates for the update that follows so many finished ones.</summary>
    /// <param name="step">Updates already done, from 0.</param>
    public double Factor(long step) => Kind switch
    {
        LearningRateKind.Constant => 1,
        LearningRateKind.Linear => Ramp(step, TotalSteps),
        LearningRateKind.Warmup => Ramp(step, Warmup),
        LearningRateKind.Exponential => Math.Pow(0.01, Math.Min(1, (double)step / TotalSteps)),
        // A run that is over before its warm-up has the ramp alone, over all its steps.
        _ => TotalSteps <= Warmup ? Ramp(step, TotalSteps) : step < Warmup ? Ramp(step, Warmup) : Cosine(step),
    };

    private double Ramp(long step, double over) => step >= over ? 1 : First + (1 - First) * step / over;

    private double Cosine(long step) => 0.5 * (1 + Math.Cos(Math.PI * Math.Min(1, (step - Warmup) / (TotalSteps - Warmup))));
}

/// <summary>Weight decay that rises to a largest value: after the warm-up, in proportion to the steps, at the start of each epoch.</summary>
/// <param name="Largest">Decay at the last step; negative for none of this.</param>
/// <param name="WarmupSteps">Steps of the warm-up of the learning rate.</param>
/// <param name="TotalSteps">Steps of the run.</param>
/// <param name="StepsPerEpoch">Steps of an epoch.</param>
public sealed record WeightDecaySchedule(double Largest, double WarmupSteps, long TotalSteps, long StepsPerEpoch)
{
    /// <summary>The decay of a group at a step.</summary>
    /// <param name="initial">The group's own decay.</param>
    /// <param name="step">Updates already done, from 0.</param>
    public double At(double initial, long step)
    {
        long epoch = step / StepsPerEpoch * StepsPerEpoch;
        return Largest < 0 || epoch <= WarmupSteps ? initial : initial + (Largest - initial) * (epoch - WarmupSteps) / (TotalSteps - WarmupSteps);
    }
}
