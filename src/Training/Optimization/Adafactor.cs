using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>The settings of <see cref="Adafactor"/>, those of allenai's summarization script.</summary>
public sealed record AdafactorOptions
{
    /// <summary>Added to the squared gradients.</summary>
    public double Epsilon { get; init; } = 1e-30;

    /// <summary>The least root mean square of a parameter that <see cref="ScaleByParameter"/> uses.</summary>
    public double LeastScale { get; init; } = 1e-3;

    /// <summary>An update with a larger root mean square is scaled down to it.</summary>
    public double ClipThreshold { get; init; } = 1;

    /// <summary>The exponent of the decay of the mean squares: 1 - t^exponent.</summary>
    public double DecayExponent { get; init; } = -0.8;

    /// <summary>Decay of the mean of the updates; null: none is kept.</summary>
    public double? Beta1 { get; init; }

    /// <summary>Whether the rate of a parameter is multiplied with its root mean square.</summary>
    public bool ScaleByParameter { get; init; }
}

/// <summary>
/// Adafactor (Shazeer and Stern, arXiv 1804.04235) with a given learning rate, as transformers' <c>Adafactor(relative_step=False)</c>: the mean
/// squares of a matrix's gradients are kept by row and column only, so that the state takes almost no memory.
/// </summary>
public sealed class Adafactor : IOptimizer
{
    private readonly AdafactorOptions _options;
    private readonly OptimizerState _state = new();

    /// <summary>An optimizer that remembers nothing yet.</summary>
    /// <param name="options">Its settings.</param>
    /// <exception cref="InputException">A setting is outside its range.</exception>
    public Adafactor(AdafactorOptions? options = null)
    {
        _options = options ?? new AdafactorOptions();
        if (_options.ClipThreshold is not > 0)
            throw new InputException($"clip threshold: expected more than 0, given {_options.ClipThreshold}");
        if (_options.Beta1 is { } beta && beta is not (>= 0 and < 1))
            throw new InputException($"beta1: expected 0 to below 1, given {beta}");
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> State => _state.Tensors;

    /// <inheritdoc/>
    public void Step(IReadOnlyList<ParameterGradient> gradients, double learningRate)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        foreach (ParameterGradient g in gradients)
        {
            using TensorScope scope = new();
            Step(g.Parameter, g.Widen(), learningRate * g.Parameter.RateFactor);
        }
    }

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state, IReadOnlyList<TrainedParameter> parameters) =>
        _state.Restore(state, parameters, Parts);

    /// <summary>Frees what it remembers.</summary>
    public void Dispose() => _state.Dispose();

    private IEnumerable<(string Part, long[] Shape, Device Device)> Parts(TrainedParameter parameter)
    {
        (long[] shape, Device device) = (parameter.Model.Shape, parameter.Model.Device);
        yield return ("step", [], device);
        if (_options.Beta1 is not null)
            yield return ("mean", shape, device);
        if (shape.Length < 2)
        {
            yield return ("square", shape, device);
            yield break;
        }
        yield return ("rows", shape[..^1], device);
        yield return ("columns", [.. shape[..^2], shape[^1]], device);
    }

    private void Step(TrainedParameter parameter, Tensor gradient, double rate)
    {
        Tensor master = parameter.Master;
        Dictionary<string, Tensor> own = Parts(parameter).ToDictionary(p => p.Part, p =>
            _state.Get(parameter, p.Part, p.Shape, p.Part == "step" ? DType.Float32 : master.DType, p.Device));
        double step = own["step"].AddInPlace(1.0).ToDouble(), decay = 1 - Math.Pow(step, _options.DecayExponent);
        if (_options.ScaleByParameter)
            rate *= Math.Max(_options.LeastScale, RootMeanSquare(master));
        Tensor square = (gradient * gradient).AddInPlace(_options.Epsilon), update;
        if (own.TryGetValue("square", out Tensor? all))
        {
            all.MulInPlace(decay).AddInPlace(square, 1 - decay);
            update = gradient / all.Sqrt();
        }
        else
        {
            (Tensor rows, Tensor columns) = (own["rows"], own["columns"]);
            rows.MulInPlace(decay).AddInPlace(square.Mean(-1), 1 - decay);
            columns.MulInPlace(decay).AddInPlace(square.Mean(-2), 1 - decay);
            update = gradient / (rows / rows.Mean(-1, keep: true)).Sqrt().Unsqueeze(-1) / columns.Sqrt().Unsqueeze(-2);
        }
        update.MulInPlace(rate / Math.Max(1, RootMeanSquare(update) / _options.ClipThreshold));
        if (own.TryGetValue("mean", out Tensor? mean))
        {
            double beta = _options.Beta1!.Value;
            update = mean.MulInPlace(beta).AddInPlace(update, 1 - beta);
        }
        if (parameter.WeightDecay != 0)
            master.MulInPlace(1 - (parameter.WeightDecay * rate));
        master.SubInPlace(update);
        if (parameter.NeedsMaster)
            parameter.SetMaster(master);
    }

    private static double RootMeanSquare(Tensor tensor) => Functional.Norm(tensor) / Math.Sqrt(tensor.ElementCount);
}
