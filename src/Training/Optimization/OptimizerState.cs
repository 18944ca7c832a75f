using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>Tensors that an optimizer remembers for each parameter.</summary>
internal sealed class OptimizerState : IDisposable
{
    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, Tensor> Tensors => _tensors;

    /// <summary>A part of a parameter's state; zeros of the given shape when it is asked for first.</summary>
    public Tensor Get(TrainedParameter parameter, string part, ReadOnlySpan<long> shape, DType dtype, Device device)
    {
        string name = $"{parameter.Name}/{part}";
        if (!_tensors.TryGetValue(name, out Tensor? tensor))
            _tensors[name] = tensor = Tensor.Zeros(shape, dtype, device).Keep();
        return tensor;
    }

    /// <summary>Takes over the parts of some parameters, where the file has any of theirs.</summary>
    /// <param name="state">From a file.</param>
    /// <param name="parameters">The parameters.</param>
    /// <param name="parts">The parts of one parameter with their shapes.</param>
    public void Restore(IReadOnlyDictionary<string, Tensor> state, IReadOnlyList<TrainedParameter> parameters,
        Func<TrainedParameter, IEnumerable<(string Part, long[] Shape, Device Device)>> parts)
    {
        Dispose();
        foreach (TrainedParameter parameter in parameters)
        {
            (string Part, long[] Shape, Device Device)[] own = [.. parts(parameter)];
            // A parameter that no gradient has reached yet has no state.
            if (!own.Any(p => state.ContainsKey($"{parameter.Name}/{p.Part}")))
                continue;
            foreach ((string part, long[] shape, Device device) in own)
            {
                string name = $"{parameter.Name}/{part}";
                if (!state.TryGetValue(name, out Tensor? saved))
                    throw new CheckpointException($"the optimizer's state lacks {name}");
                if (!saved.Shape.SequenceEqual(shape))
                {
                    throw new CheckpointException($"the optimizer's state: expected [{string.Join(", ", shape)}] for {name}, given "
                        + $"[{string.Join(", ", saved.Shape)}]");
                }
                using TensorScope scope = new();
                _tensors[name] = saved.Clone().To(device).Keep();
            }
        }
    }

    public void Dispose()
    {
        foreach (Tensor tensor in _tensors.Values)
            tensor.Dispose();
        _tensors.Clear();
    }
}
