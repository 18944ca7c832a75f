using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>The settings of <see cref="AdamW"/>; the defaults are PyTorch's.</summary>
public sealed record AdamWOptions
{
    /// <summary>Decay of the mean of the gradients.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the mean of the squared gradients.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the mean square.</summary>
    public double Epsilon { get; init; } = 1e-8;
}

/// <summary>
/// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), by libtorch's fused step: one pass over each parameter. With t = 1, 2,
/// ... for each parameter:
/// <code>
/// p -= rate * decay * p
/// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
/// p -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// </code>
/// BERT's own (<see cref="TrainedParameter.IsBerts"/>) has epsilon 1e-6 and divides by neither 1 - beta^t.
/// </summary>
public sealed class AdamW : IOptimizer
{
    private const double BertEpsilon = 1e-6;
    // At this step of the fused operator both 1 - beta^t are 1, to the bit.
    private const double BertStep = 1e9;

    private readonly AdamWOptions _options;
    private readonly OptimizerState _state = new();

    /// <summary>An optimizer that remembers nothing yet.</summary>
    /// <param name="options">Its settings.</param>
    /// <exception cref="InputException">A setting is outside its range.</exception>
    public AdamW(AdamWOptions? options = null)
    {
        _options = options ?? new AdamWOptions();
        if (_options.Beta1 is not (>= 0 and < 1))
            throw new InputException($"beta1: expected 0 to below 1, given {_options.Beta1}");
        if (_options.Beta2 is not (>= 0 and < 1))
            throw new InputException($"beta2: expected 0 to below 1, given {_options.Beta2}");
        if (_options.Epsilon is not >= 0)
            throw new InputException($"epsilon: expected 0 or more, given {_options.Epsilon}");
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> State => _state.Tensors;

    /// <inheritdoc/>
    public void Step(IReadOnlyList<ParameterGradient> gradients, double learningRate)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        foreach (ParameterGradient g in gradients.Where(g => g.Parameter.NeedsMaster))
            StepInBlocks(g, learningRate);
        foreach (IGrouping<(double, double, bool, Device, DType), ParameterGradient> group in gradients.Where(g => !g.Parameter.NeedsMaster)
                     .GroupBy(g => (g.Parameter.RateFactor, g.Parameter.WeightDecay, g.Parameter.IsBerts, g.Parameter.Model.Device,
                     g.Parameter.Model.DType)))
        {
            ParameterGradient[] some = [.. group];
            Tensor[] Parts(string part) => Array.ConvertAll(some, g => Part(g.Parameter, part));
            Tensor[] steps = Parts("step");
            foreach (Tensor step in steps)
                step.AddInPlace(1.0);
            Fused(some[0].Parameter, learningRate, Array.ConvertAll(some, g => g.Parameter.Model), Array.ConvertAll(some, g => g.Widen()),
                Parts("mean"), Parts("square"), steps);
        }
    }

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state, IReadOnlyList<TrainedParameter> parameters) =>
        _state.Restore(state, parameters, p => [("step", [], p.Model.Device), ("mean", p.Model.Shape, p.Model.Device),
            ("square", p.Model.Shape, p.Model.Device)]);

    /// <summary>Frees what it remembers.</summary>
    public void Dispose() => _state.Dispose();

    private void StepInBlocks(ParameterGradient g, double learningRate)
    {
        TrainedParameter parameter = g.Parameter;
        Tensor step = Part(parameter, "step").AddInPlace(1.0), mean = Part(parameter, "mean"), square = Part(parameter, "square");
        parameter.Update((block, rows) => Fused(parameter, learningRate, [rows], [g.Widen(g.Gradient.Rows(block))], [mean.Rows(block)],
            [square.Rows(block)], [step]));
    }

    private void Fused(TrainedParameter like, double learningRate, Tensor[] masters, Tensor[] gradients, Tensor[] means, Tensor[] squares,
        Tensor[] steps)
    {
        using TensorScope scope = new();
        if (like.IsBerts)
            steps = Array.ConvertAll(steps, step => Tensor.Full([], BertStep, DType.Float32, step.Device));
        Functional.FusedAdamW(masters, gradients, means, squares, steps, learningRate * like.RateFactor, _options.Beta1, _options.Beta2,
            like.WeightDecay, like.IsBerts ? BertEpsilon : _options.Epsilon);
    }

    private Tensor Part(TrainedParameter parameter, string part) => part == "step"
        ? _state.Get(parameter, part, [], DType.Float32, parameter.Model.Device)
        : _state.Get(parameter, part, parameter.Model.Shape, parameter.MasterType, parameter.Model.Device);
}
