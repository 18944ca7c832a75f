using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// Where the parameters of a model come from: a checkpoint; tensors that somebody else holds; or (a dry load) nowhere, where only their names and
/// shapes are wanted.
/// </summary>
internal sealed class ParameterSource
{
    private readonly Checkpoint? _checkpoint;
    private readonly Weights? _weights;
    private readonly GivenTensors? _given;
    private readonly Func<string, bool> _optional;

    private ParameterSource(Checkpoint? checkpoint, Weights? weights, GivenTensors? given, Func<string, bool> optional) =>
        (_checkpoint, _weights, _given, _optional) = (checkpoint, weights, given, optional);

    /// <summary>Whether there are no values.</summary>
    public bool IsDry => _checkpoint is null && _given is null;

    /// <summary>Whether the tensors are to be used as they are, where they are: nothing is copied or moved.</summary>
    public bool IsGiven => _given is not null;

    /// <summary>The tensors of a checkpoint, taken strictly.</summary>
    public static ParameterSource From(Checkpoint checkpoint, string subject) => new(checkpoint, new Weights(checkpoint, subject), null, _ => false);

    /// <summary>The tensors of weights that the caller finishes.</summary>
    public static ParameterSource From(Weights weights) => new(null, weights, null, _ => false);

    /// <summary>Tensors that are there already, taken strictly. They become the model's.</summary>
    public static ParameterSource From(GivenTensors tensors) => new(null, null, tensors, _ => false);

    /// <summary>Placeholders that take no memory.</summary>
    /// <param name="optional">Whether a parameter that not every checkpoint has is there.</param>
    public static ParameterSource Dry(Func<string, bool> optional) => new(null, null, null, optional);

    /// <summary>Whether the checkpoint has a tensor of exactly this name.</summary>
    public bool Contains(string name) => _given?.Contains(name) ?? _checkpoint?.Contains(name) == true;

    /// <summary>Whether any tensor's name begins so.</summary>
    public bool ContainsBelow(string prefix) =>
        (_given?.Names ?? _checkpoint?.Names)?.Any(n => n.StartsWith(prefix, StringComparison.Ordinal)) == true;

    /// <summary>Whether there is a tensor of this name, one that is tied to it, or any below it.</summary>
    public bool Has(string name) => _given?.Has(name) ?? _weights?.Has(name) ?? _optional(name);

    /// <summary>The dtype of a stored tensor; null where there is no such tensor, or none that libtorch has.</summary>
    public DType? TypeOf(string name) => _given is not null ? _given.TypeOf(name) : Contains(name) ? _checkpoint!.Entry(name).Type.ToDType() : null;

    /// <summary>Declares that these names are one tensor of the model.</summary>
    public void Tie(params ReadOnlySpan<string> names)
    {
        _weights?.Tie(names);
        _given?.Tie(names);
    }

    /// <summary>The tensor, on the CPU, as it is stored; a placeholder where it is missing or of another shape, which is noted.</summary>
    public Tensor Get(string name, ReadOnlySpan<long> shape)
    {
        if (_given is not null)
            return _given.Get(name, shape);
        if (_weights is not null)
            return _weights.Get(name, shape);
        using TensorScope scope = new();
        Span<long> ones = stackalloc long[shape.Length];
        ones.Fill(1);
        return scope.Keep(Tensor.Zeros(ones).Expand(shape));
    }

    /// <summary>Refuses everything that is missing or of another shape, all in one exception; returns the names of tensors without a place.</summary>
    public IReadOnlyList<string> Finish(params ReadOnlySpan<string> ignored) => _given is not null
        ? _given.Finish(ignored)
        : [.. (_weights?.Finish(ignored) ?? []).Select(p => p.Name)];
}
