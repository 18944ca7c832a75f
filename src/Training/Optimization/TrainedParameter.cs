using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>
/// A parameter that an optimizer changes. Where the model computes in half precision, the optimizer works on a Float32 master and the model gets
/// its rounded values after every step.
/// </summary>
public sealed class TrainedParameter : IDisposable
{
    private Tensor? _master;

    /// <summary>A parameter of a model that was loaded with <see cref="LoadOptions.Trainable"/>.</summary>
    /// <param name="name">HF's name.</param>
    /// <param name="model">The model's tensor.</param>
    /// <param name="rateFactor">The factor of a step's learning rate.</param>
    /// <param name="weightDecay">Decay in each step, as a part of the rate.</param>
    public TrainedParameter(string name, Tensor model, double rateFactor = 1, double weightDecay = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        (Name, Model, RateFactor, WeightDecay) = (name, model, rateFactor, weightDecay);
        NeedsMaster = model.DType is DType.BFloat16 or DType.Float16;
    }

    /// <summary>HF's name.</summary>
    public string Name { get; }

    /// <summary>The model's tensor.</summary>
    public Tensor Model { get; }

    /// <summary>
    /// The tensor that the optimizer changes: the model's, or a Float32 copy of it, made when it is asked for first. A parameter that no gradient
    /// reaches (global projections where nothing is global) thus costs no memory.
    /// </summary>
    public Tensor Master => NeedsMaster ? _master ??= Model.To(DType.Float32).Keep() : Model;

    /// <summary>Whether <see cref="Master"/> is a copy.</summary>
    public bool NeedsMaster { get; }

    /// <summary>Whether the copy exists.</summary>
    public bool HasMaster => _master is not null;

    /// <summary>The factor of a step's learning rate.</summary>
    public double RateFactor { get; }

    /// <summary>Decay in each step, as a part of the rate.</summary>
    public double WeightDecay { get; }

    /// <summary>The first row that is trained; the rows before it stay as they are. 0: all are.</summary>
    public long FirstRow { get; init; }

    /// <summary>Parameters of one number are clipped together, by the norm of their gradients alone.</summary>
    public int ClipGroup { get; init; }

    /// <summary>Whether AdamW is BERT's for it: epsilon 1e-6, and means that are not corrected for having begun at 0.</summary>
    public bool IsBerts { get; init; }

    /// <summary>Gives the model the master's values.</summary>
    public void Publish()
    {
        if (_master is not null)
            Model.CopyInPlace(_master);
    }

    /// <summary>Frees the master; the model's tensor is the model's.</summary>
    public void Dispose()
    {
        _master?.Dispose();
        _master = null;
    }
}
