using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>A gradient for one parameter in a step.</summary>
/// <param name="Parameter">The parameter.</param>
/// <param name="Gradient">Of the master's shape and dtype.</param>
public readonly record struct ParameterGradient(TrainedParameter Parameter, Tensor Gradient);

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
