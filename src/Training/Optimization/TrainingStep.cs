using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;
using LongformerInterop.Training.Heads;

namespace LongformerInterop.Training.Optimization;

/// <summary>The result of one step.</summary>
/// <param name="Loss">Mean over all labels of the step, before the update.</param>
/// <param name="GradientNorm">2-norm over all parameters before clipping.</param>
/// <param name="LearningRate">The rate of this step.</param>
/// <param name="Labels">How many labels there were.</param>
/// <param name="Tokens">How many tokens went through the model.</param>
public readonly record struct StepResult(double Loss, double GradientNorm, double LearningRate, long Labels, long Tokens);

/// <summary>A loss or a gradient is no number any more.</summary>
public sealed class DivergedException : LongformerException
{
    /// <summary>Creates the exception without a message.</summary>
    public DivergedException() { }

    /// <summary>Creates the exception with a message that names the step and the documents.</summary>
    public DivergedException(string message) : base(message) { }

    /// <summary>Creates the exception with a message and the exception behind it.</summary>
    public DivergedException(string message, Exception innerException) : base(message, innerException) { }
}

/// <summary>Steps of training: forward and backward over some batches, the mean over all their labels, clipping, and the optimizer.</summary>
public sealed class TrainingStep : IDisposable
{
    private readonly TrainingHead _head;
    private readonly IOptimizer _optimizer;
    private readonly Schedule _schedule;
    private readonly double? _maxNorm;
    private readonly bool _recompute;
    private readonly int? _recomputeLayers;
    private readonly StepGradients _gradients;
    private readonly IDisposable _memory;

    /// <summary>Steps on a head. The head and the optimizer stay the caller's.</summary>
    /// <param name="head">The model with its loss.</param>
    /// <param name="plan">Which parameters are trained, and how.</param>
    /// <param name="optimizer">The optimizer that changes them.</param>
    /// <param name="schedule">The learning rates.</param>
    /// <param name="maxNorm">Gradients with a larger norm are scaled down to it; null: none are.</param>
    /// <param name="recompute">Whether layers run again in the backward pass instead of keeping their results.</param>
    /// <param name="recomputeLayers">Only the first so many of them; null: all.</param>
    /// <exception cref="InputException">A setting is outside its range.</exception>
    public TrainingStep(TrainingHead head, ParameterPlan plan, IOptimizer optimizer, Schedule schedule, double? maxNorm = 1, bool recompute = false,
        int? recomputeLayers = null)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(schedule);
        schedule.Check();
        if (maxNorm is { } norm && !(norm > 0))
            throw new InputException($"largest norm of the gradients: expected more than 0, given {norm}");
        (_head, _optimizer, _schedule, _maxNorm, _recompute, _recomputeLayers) = (head, optimizer, schedule, maxNorm, recompute, recomputeLayers);
        Parameters = plan.Of(head.Model);
        _gradients = new StepGradients(Parameters);
        _memory = TorchRuntime.HoldMemory();
    }

    /// <summary>The parameters that are trained.</summary>
    public IReadOnlyList<TrainedParameter> Parameters { get; }

    /// <summary>One step.</summary>
    /// <param name="step">Its number, from 0.</param>
    /// <param name="batches">Its batches, which go through the model one after the other.</param>
    /// <param name="seeds">The seed of each batch's dropouts; null: nothing is dropped.</param>
    /// <param name="cancellation">Looked at before every layer; a step that is cancelled changes no parameter.</param>
    /// <exception cref="DivergedException">The loss or the gradient is no number: no parameter is changed.</exception>
    /// <exception cref="InputException">An example does not fit the model, or the step has no label.</exception>
    public StepResult Run(long step, IReadOnlyList<IReadOnlyList<TrainingExample>> batches, IReadOnlyList<long>? seeds = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batches);
        long labels = batches.Sum(batch => batch.Sum(_head.LabelCount));
        if (labels == 0)
            throw new InputException($"step {step + 1}: expected at least one label, given none in {Name(batches.SelectMany(b => b))}");
        double loss = 0, rate = _schedule.At(step), norm;
        try
        {
            for (int i = 0; i < batches.Count; i++)
            {
                // A batch in which nothing has a label has no loss to differentiate.
                if (batches[i].Sum(_head.LabelCount) == 0)
                    continue;
                using TensorScope scope = new();
                using GradientTape tape = new(_gradients.Set) { RecomputesLayers = _recompute, RecomputedLayers = _recomputeLayers };
                Tensor sum = _head.LossSum(batches[i], seeds?[i], cancellation);
                double value = sum.ToDouble();
                if (!double.IsFinite(value))
                    throw new DivergedException($"step {step + 1}: the loss is {value} on {Name(batches[i])}");
                loss += value;
                tape.Backward(sum, Tensor.Full([], 1.0 / labels, sum.DType, sum.Device));
                _gradients.Gather(only: batches.Count == 1);
            }
            norm = _gradients.Norm();
            if (!double.IsFinite(norm))
                throw new DivergedException($"step {step + 1}: the gradient's norm is {norm} on {Name(batches.SelectMany(b => b))}");
            using (TensorScope scope = new())
                _gradients.Apply(norm, _maxNorm, gradients => _optimizer.Step(gradients, rate));
        }
        finally
        {
            _gradients.Clear();
            // The next pass forward ends at the peak of memory, where the holes that this one left would come on top.
            TorchRuntime.TrimMalloc();
        }
        return new StepResult(loss / labels, norm, rate, labels, batches.Sum(batch => batch.Sum(e => (long)e.Ids.Length)));
    }

    /// <summary>Frees the gradients and the masters.</summary>
    public void Dispose()
    {
        _gradients.Dispose();
        foreach (TrainedParameter parameter in Parameters)
            parameter.Dispose();
        _memory.Dispose();
    }

    private static string Name(IEnumerable<TrainingExample> examples)
    {
        string[] names = [.. examples.Select(e => e.Source).Distinct().Take(5)];
        return string.Join(", ", names) is { Length: > 0 } text ? text : "examples without a name";
    }
}
