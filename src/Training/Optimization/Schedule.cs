using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>How the learning rate falls after the warm-up.</summary>
public enum ScheduleKind
{
    /// <summary>In a straight line to 0 at the last step.</summary>
    Linear,
    /// <summary>Along half a cosine to 0.</summary>
    Cosine,
    /// <summary>By a power of the part that is left: <see cref="Schedule.Power"/>.</summary>
    Polynomial,
    /// <summary>Not at all.</summary>
    Constant,
    /// <summary>By the inverse square root of the steps.</summary>
    InverseSqrt,
}

/// <summary>
/// The learning rate of every step, as transformers' schedules compute it: the first step has number 0, so that with a warm-up it changes no
/// parameter (the optimizer counts it all the same).
/// </summary>
public sealed record Schedule
{
    private const int DefaultTimescale = 10_000;

    /// <summary>The largest rate.</summary>
    public required double LearningRate { get; init; }

    /// <summary>The shape behind the warm-up.</summary>
    public ScheduleKind Kind { get; init; } = ScheduleKind.Linear;

    /// <summary>Steps in which the rate rises from 0 in a straight line.</summary>
    public long WarmupSteps { get; init; }

    /// <summary>Steps of the whole run, where the shape depends on it.</summary>
    public long TotalSteps { get; init; }

    /// <summary>Of the polynomial; the paper's masked LM has 3.</summary>
    public double Power { get; init; } = 1;

    /// <summary>Where the polynomial ends.</summary>
    public double EndRate { get; init; }

    /// <summary>How many waves the cosine has; half of one ends at 0.</summary>
    public double Cycles { get; init; } = 0.5;

    /// <summary>The rate of a step.</summary>
    /// <param name="step">From 0.</param>
    public double At(long step)
    {
        if (step < WarmupSteps)
            return LearningRate * step / Math.Max(1, WarmupSteps);
        double left = TotalSteps - step, length = Math.Max(1, TotalSteps - WarmupSteps), progress = (step - WarmupSteps) / length;
        return Kind switch
        {
            ScheduleKind.Linear => LearningRate * Math.Max(0, left / length),
            ScheduleKind.Cosine => LearningRate * Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * 2 * Cycles * progress))),
            ScheduleKind.Polynomial => step > TotalSteps ? EndRate : ((LearningRate - EndRate) * Math.Pow(1 - progress, Power)) + EndRate,
            ScheduleKind.Constant => LearningRate,
            ScheduleKind.InverseSqrt => LearningRate / Math.Sqrt((step + Timescale - WarmupSteps) / (double)Timescale),
            _ => throw new InputException($"schedule: {Kind} is none"),
        };
    }

    /// <exception cref="InputException">A number is outside its range.</exception>
    internal void Check()
    {
        if (!(LearningRate > 0) || !double.IsFinite(LearningRate))
            throw new InputException($"learning rate: expected more than 0, given {LearningRate}");
        if (WarmupSteps < 0)
            throw new InputException($"warm-up steps: expected 0 or more, given {WarmupSteps}");
        if (!(Power > 0))
            throw new InputException($"power: expected more than 0, given {Power}");
        if (!(EndRate >= 0) || EndRate > LearningRate)
            throw new InputException($"end rate: expected 0 to the learning rate, given {EndRate}");
    }

    private long Timescale => WarmupSteps > 0 ? WarmupSteps : DefaultTimescale;
}
