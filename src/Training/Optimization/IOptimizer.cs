using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>A gradient for one parameter in a step.</summary>
/// <param name="Parameter">The parameter.</param>
/// <param name="Gradient">Of the master's shape, in its dtype or in the model's.</param>
/// <param name="Factor">The number that the gradient is to be multiplied with first.</param>
public readonly record struct ParameterGradient(TrainedParameter Parameter, Tensor Gradient, double Factor = 1)
{
    /// <summary>Whether the gradient is in the model's half precision and the master is not.</summary>
    public bool IsHalf => Gradient.DType != Parameter.MasterType;

    /// <summary>The gradient in the master's dtype, multiplied: a new tensor, or the same where nothing is to be done.</summary>
    public Tensor Widen() => Widen(Gradient);

    /// <summary>The same for some of its rows.</summary>
    /// <param name="rows">A part of <see cref="Gradient"/>.</param>
    internal Tensor Widen(Tensor rows)
    {
        Tensor wide = rows.DType == Parameter.MasterType ? rows : rows.To(Parameter.MasterType);
        return Factor == 1 ? wide : wide.MulInPlace(Factor);
    }
}

/// <summary>Changes parameters by their gradients. Its state between steps can be saved and restored.</summary>
public interface IOptimizer : IDisposable
{
    /// <summary>One step. A parameter without a gradient is not touched, nor is its count of steps.</summary>
    /// <param name="gradients">The parameters with their gradients; the optimizer may change the gradients.</param>
    /// <param name="learningRate">Of this step; each parameter multiplies it by its factor.</param>
    void Step(IReadOnlyList<ParameterGradient> gradients, double learningRate);

    /// <summary>Its state, by <c>parameter/part</c>; it owns the tensors.</summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>Puts back what <see cref="State"/> gave; the values are copied.</summary>
    /// <param name="state">Read from a file.</param>
    /// <param name="parameters">The parameters that it will be given.</param>
    /// <exception cref="Checkpoints.CheckpointException">A part is missing or has another shape.</exception>
    void Restore(IReadOnlyDictionary<string, Tensor> state, IReadOnlyList<TrainedParameter> parameters);
}
