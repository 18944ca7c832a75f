using LongformerInterop.Torch;
using TorchSharp.Modules;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// TorchSharp's AdamW with libtorch's fused step: one pass over each parameter instead of ten, and no temporaries.
/// Options, groups, schedulers and the saved state are those of its base.
/// </summary>
public sealed class FusedAdamW : AdamW
{
    /// <summary>An optimizer of some parameters.</summary>
    /// <param name="parameters">The parameters.</param>
    /// <param name="lr">The learning rate.</param>
    /// <param name="beta1">Decay of the mean of the gradients.</param>
    /// <param name="beta2">Decay of the mean of the squared gradients.</param>
    /// <param name="eps">Added to the root of the mean square.</param>
    /// <param name="weightDecay">Decay of the parameters as a part of the rate.</param>
    public FusedAdamW(IEnumerable<Parameter> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
        double weightDecay = 0)
        : this([new ParamGroup { Parameters = [.. parameters] }], lr, beta1, beta2, eps, weightDecay)
    {
    }

    /// <summary>An optimizer of groups of parameters, each with options of its own where it has some.</summary>
    /// <param name="parameters">The groups.</param>
    /// <param name="lr">The learning rate.</param>
    /// <param name="beta1">Decay of the mean of the gradients.</param>
    /// <param name="beta2">Decay of the mean of the squared gradients.</param>
    /// <param name="eps">Added to the root of the mean square.</param>
    /// <param name="weightDecay">Decay of the parameters as a part of the rate.</param>
    public FusedAdamW(IEnumerable<ParamGroup> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8,
        double weightDecay = 0)
        : base(parameters, lr, beta1, beta2, eps, weightDecay)
    {
        OneLibtorch.Ensure();
        foreach (State state in _state.Values.Cast<State>())
        {
            state.exp_avg.DetachFromDisposeScope();
            state.exp_avg_sq.DetachFromDisposeScope();
        }
    }

    /// <summary>Takes the gradients away, where its base fills them with zeros: the next backward pass then writes them instead of adding.</summary>
    public override void zero_grad()
    {
        foreach (Parameter parameter in parameters())
            parameter.grad = null;
    }

    /// <summary>One step. A parameter without a gradient is not touched.</summary>
    /// <param name="closure">Computes the loss anew; null: the gradients are there.</param>
    /// <returns>What the closure gave; null without one.</returns>
    /// <exception cref="InputException">A parameter is disposed.</exception>
    /// <exception cref="NotSupportedException">A group asks for <c>amsgrad</c>.</exception>
    public override TorchTensor? step(Func<TorchTensor>? closure = null) => _step<ParamGroup>(Step, closure);

    private void Step(ParamGroup group)
    {
        Options options = group.Options;
        if (options.amsgrad == true)
            throw new NotSupportedException("amsgrad: expected false, given true: TorchSharp's own AdamW has it");
        ReturnedGradients.Release();
        using TensorScope scope = new();
        // Those of one dtype and device, and as many steps old, go through one call.
        Dictionary<(torch.ScalarType, string, long), Batch> batches = [];
        foreach (Parameter parameter in group.Parameters)
        {
            if (parameter.IsInvalid)
                throw new InputException("parameter", "a tensor that is alive", "one that is disposed");
            if (parameter.grad is not { } gradient)
                continue;
            State state = (State)_state[parameter.Handle];
            state.step++;
            (torch.ScalarType, string, long) kind = (parameter.dtype, parameter.device.ToString(), state.step);
            if (!batches.TryGetValue(kind, out Batch? batch))
                batches[kind] = batch = new Batch(state.step);
            batch.Parameters.Add(TensorExchange.Borrow(parameter, "parameter"));
            batch.Gradients.Add(TensorExchange.Borrow(options.maximize == true ? -gradient : gradient, "gradient"));
            batch.Means.Add(TensorExchange.Borrow(state.exp_avg, "exp_avg"));
            batch.Squares.Add(TensorExchange.Borrow(state.exp_avg_sq, "exp_avg_sq"));
        }

        foreach (Batch batch in batches.Values)
        {
            Tensor step = Tensor.Full([], batch.Step, DType.Float32, batch.Parameters[0].Device);
            Functional.FusedAdamW([.. batch.Parameters], [.. batch.Gradients], [.. batch.Means], [.. batch.Squares],
                [.. batch.Parameters.Select(_ => step)], options.LearningRate!.Value, options.beta1!.Value, options.beta2!.Value,
                options.weight_decay!.Value, options.eps!.Value);
        }

        // libtorch does not count the fused step as a write, so write to no row of each parameter that it changed: packed weights and waiting passes
        // see that.
        foreach (Parameter parameter in group.Parameters.Where(p => p.grad is not null))
        {
            if (parameter.ndim > 0)
                parameter.narrow(0, 0, 0).zero_();
            else
                parameter.add_(0);
        }
    }

    private sealed record Batch(long Step)
    {
        public List<Tensor> Parameters { get; } = [];

        public List<Tensor> Gradients { get; } = [];

        public List<Tensor> Means { get; } = [];

        public List<Tensor> Squares { get; } = [];
    }
}
