using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>Steps of training a character model: forward and backward, the mean over all characters of the step, clipping, the optimizer.</summary>
public sealed class CharacterStep : IDisposable
{
    private readonly CharacterLanguageModel _model;
    private readonly IOptimizer _optimizer;
    private readonly double? _maxNorm;
    private readonly bool _recompute;
    private readonly StepGradients _gradients;
    private readonly IDisposable _memory;

    /// <summary>Steps on a model. The model and the optimizer stay the caller's.</summary>
    /// <param name="model">Loaded with <see cref="LoadOptions.Trainable"/>.</param>
    /// <param name="optimizer">What changes the parameters.</param>
    /// <param name="weightDecay">Decay of weights; biases and LayerNorm weights have none.</param>
    /// <param name="maxNorm">Gradients with a larger norm are scaled down to it; null: none are.</param>
    /// <param name="recompute">Whether layers run again in the backward pass instead of keeping their results.</param>
    public CharacterStep(CharacterLanguageModel model, IOptimizer optimizer, double weightDecay, double? maxNorm, bool recompute = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!model.Options.Trainable)
            throw new InvalidOperationException("training needs a model that was loaded with Trainable = true");
        if (!(weightDecay >= 0))
            throw new InputException($"weight decay: expected 0 or more, given {weightDecay}");
        if (maxNorm is { } norm && !(norm > 0))
            throw new InputException($"largest norm of the gradients: expected more than 0, given {norm}");
        (_model, _optimizer, _maxNorm, _recompute) = (model, optimizer, maxNorm, recompute);
        Parameters = [.. model.NamedParameters.Where(p => p.IsTrained)
            .Select(p => new TrainedParameter(p.Name, p.Tensor, 1, ParameterPlan.Decays(p.Name) ? weightDecay : 0))];
        _gradients = new StepGradients(Parameters);
        _memory = TorchRuntime.HoldMemory();
    }

    /// <summary>The parameters that are trained.</summary>
    public IReadOnlyList<TrainedParameter> Parameters { get; }

    /// <summary>One step.</summary>
    /// <param name="step">Its number, from 0, for messages.</param>
    /// <param name="rate">Its learning rate.</param>
    /// <param name="batches">Ids and targets [B, T], which go through the model one after the other.</param>
    /// <param name="seeds">The seed of each batch's dropouts; null: nothing is dropped.</param>
    /// <param name="cancellation">Looked at before every layer; a step that is cancelled changes no parameter.</param>
    /// <returns>The mean in nats, the norm before clipping, the rate, and how many characters there were.</returns>
    /// <exception cref="DivergedException">The loss or the gradient is no number: no parameter is changed.</exception>
    public StepResult Run(long step, double rate, IReadOnlyList<(Tensor Ids, Tensor Targets)> batches, IReadOnlyList<long>? seeds = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batches);
        long characters = batches.Sum(batch => batch.Ids.ElementCount);
        if (characters == 0)
            throw new InputException($"step {step + 1}: expected at least one character, given none");
        double loss = 0, norm;
        try
        {
            for (int i = 0; i < batches.Count; i++)
            {
                using TensorScope scope = new();
                using GradientTape tape = new(_gradients.Set) { RecomputesLayers = _recompute };
                Tensor sum = _model.LossSum(batches[i].Ids, batches[i].Targets, seeds?[i], cancellation);
                double value = sum.ToDouble();
                if (!double.IsFinite(value))
                    throw new DivergedException($"step {step + 1}: the loss is {value}");
                loss += value;
                tape.Backward(sum, Tensor.Full([], 1.0 / characters, sum.DType, sum.Device));
                _gradients.Gather(only: batches.Count == 1);
            }
            norm = _gradients.Norm();
            if (!double.IsFinite(norm))
                throw new DivergedException($"step {step + 1}: the gradient's norm is {norm}");
            using TensorScope update = new();
            _gradients.Apply(norm, _maxNorm, gradients => _optimizer.Step(gradients, rate));
        }
        finally
        {
            _gradients.Clear();
        }
        return new StepResult(loss / characters, norm, rate, characters, characters);
    }

    /// <summary>Frees the gradients and the masters.</summary>
    public void Dispose()
    {
        _gradients.Dispose();
        foreach (TrainedParameter parameter in Parameters)
            parameter.Dispose();
        _memory.Dispose();
    }
}
