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
    // Squares of the norms of the groups that are clipped apart.
    private readonly Dictionary<int, double> _squares = [];

    /// <summary>Gradients of some parameters, none as yet.</summary>
    /// <param name="parameters">The parameters.</param>
    public StepGradients(IReadOnlyList<TrainedParameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        _parameters = parameters;
        Set = new GradientSet(parameters.Select(p => p.Model));
    }

    /// <summary>The set that the tapes of a step add to.</summary>
    public GradientSet Set { get; }

    /// <summary>
    /// After the backward pass of a batch, moves half-precision gradients to Float32, in which they are added up. Those of a step's only batch
    /// stay as they are: the optimizer gets them in Float32 one by one.
    /// </summary>
    /// <param name="only">Whether the step has no other batch.</param>
    public void Gather(bool only = false)
    {
        if (only && _wide.Count == 0)
            return;
        bool any = false;
        foreach (TrainedParameter parameter in _parameters)
        {
            if (!parameter.NeedsMaster || Set[parameter.Model] is not { } gradient)
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

    /// <summary>The 2-norm of the gradients over all parameters, before clipping.</summary>
    public double Norm()
    {
        _squares.Clear();
        foreach ((TrainedParameter parameter, Tensor gradient) in All())
        {
            using TensorScope scope = new();
            if (parameter.FirstRow > 0)
                gradient.Narrow(0, 0, parameter.FirstRow).ZeroInPlace();
            double squares = parameter.NeedsMaster && gradient.DType == parameter.Model.DType ? SquaresOfHalf(gradient)
                : Square(Functional.Norm(gradient));
            _squares[parameter.ClipGroup] = _squares.GetValueOrDefault(parameter.ClipGroup) + squares;
        }
        return Math.Sqrt(_squares.Values.Sum());
    }

    /// <summary>Hands the gradients to an optimizer, all at once; those in half precision as they are.</summary>
    /// <param name="norm">The result of <see cref="Norm"/>.</param>
    /// <param name="maxNorm">Gradients with a larger norm are scaled down to it, those of each <see cref="TrainedParameter.ClipGroup"/> by their own
    /// norm; null: none are.</param>
    /// <param name="step">Takes them.</param>
    public void Apply(double norm, double? maxNorm, Action<IReadOnlyList<ParameterGradient>> step)
    {
        ArgumentNullException.ThrowIfNull(step);
        double FactorOf(TrainedParameter parameter) => maxNorm is not { } most ? 1
            : Math.Min(1, most / ((_squares.Count > 1 ? Math.Sqrt(_squares[parameter.ClipGroup]) : norm) + NormEpsilon));
        step([.. All().Select(g => new ParameterGradient(g.Parameter, g.Gradient, FactorOf(g.Parameter)))]);
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

    private IEnumerable<(TrainedParameter Parameter, Tensor Gradient)> All()
    {
        foreach (TrainedParameter parameter in _parameters)
        {
            if ((_wide.GetValueOrDefault(parameter) ?? Set[parameter.Model]) is { } gradient)
                yield return (parameter, gradient);
        }
    }

    private static double SquaresOfHalf(Tensor gradient)
    {
        double squares = 0;
        foreach ((long First, long Count) block in RowBlocks.Of(gradient.Shape))
        {
            using TensorScope scope = new();
            squares += Square(Functional.Norm(gradient.Rows(block).To(DType.Float32)));
        }
        return squares;
    }

    private static double Square(double x) => x * x;
}
