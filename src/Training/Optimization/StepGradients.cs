using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>
/// The gradients of one step: of all its batches together, where the model computes in half precision summed in Float32. Not for several threads
/// at once.
/// </summary>
public sealed class StepGradients : IDisposable
{
    private const double NormEpsilon = 1e-6;
    private readonly IReadOnlyList<TrainedParameter> _parameters;
    private readonly Dictionary<TrainedParameter, Tensor> _wide = [];

    /// <summary>Gradients of some parameters, none as yet.</summary>
    /// <param name="parameters">The parameters.</param>
    public StepGradients(IReadOnlyList<TrainedParameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        _parameters = parameters;
        Set = new GradientSet(parameters.Select(p => p.Model));
    }

    /// <summary>What a tape is made for.</summary>
    public GradientSet Set { get; }

    /// <summary>After the backward pass of a batch: what half precision would lose in a sum is moved to Float32.</summary>
    public void Gather()
    {
        bool any = false;
        foreach (TrainedParameter parameter in _parameters)
        {
            if (!parameter.HasMaster || Set[parameter.Model] is not { } gradient)
                continue;
            any = true;
            using TensorScope scope = new();
            if (_wide.TryGetValue(parameter, out Tensor? sum))
                sum.AddInPlace(gradient.To(DType.Float32));
            else
                _wide[parameter] = gradient.To(DType.Float32).Keep();
        }
        if (any)
            Set.Clear();
    }

    /// <summary>The gradients, and their 2-norm over all parameters before clipping.</summary>
    /// <param name="maxNorm">Gradients with a larger norm are scaled down to it; null: none are.</param>
    public (IReadOnlyList<ParameterGradient> Gradients, double Norm) Finish(double? maxNorm)
    {
        List<ParameterGradient> gradients = [];
        double squares = 0;
        foreach (TrainedParameter parameter in _parameters)
        {
            if ((_wide.GetValueOrDefault(parameter) ?? Set[parameter.Model]) is not { } gradient)
                continue;
            if (parameter.FirstRow > 0)
                gradient.Narrow(0, 0, parameter.FirstRow).ZeroInPlace();
            double norm = Functional.Norm(gradient);
            squares += norm * norm;
            gradients.Add(new ParameterGradient(parameter, gradient));
        }
        double whole = Math.Sqrt(squares);
        double factor = maxNorm is { } most ? most / (whole + NormEpsilon) : 1;
        if (factor < 1)
        {
            foreach ((_, Tensor gradient) in gradients)
                gradient.MulInPlace(factor);
        }
        return (gradients, whole);
    }

    /// <summary>Frees the gradients for the next step.</summary>
    public void Clear()
    {
        Set.Clear();
        foreach (Tensor sum in _wide.Values)
            sum.Dispose();
        _wide.Clear();
    }

    /// <summary>Frees the gradients.</summary>
    public void Dispose() => Clear();
}
