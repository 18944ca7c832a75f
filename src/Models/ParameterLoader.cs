using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>A parameter of a model under its Hugging Face name.</summary>
/// <param name="Name">Name in the checkpoint.</param>
/// <param name="Tensor">The parameter itself, not a copy; it belongs to the model.</param>
public readonly record struct NamedParameter(string Name, Tensor Tensor);

/// <summary>
/// Takes parameters out of a checkpoint by explicit path, puts them on the wanted device and dtype, and remembers them under their
/// Hugging Face names. Missing and mis-shaped ones are gathered by <see cref="Weights"/>, which throws once for all.
/// </summary>
internal sealed class ParameterLoader
{
    private readonly Weights _weights;
    private readonly string _name;  // Hugging Face's name of this path, which allenai's files spell otherwise
    private readonly LoadOptions _options;
    // Below this a product is no work worth packing for: the heads of classifiers.
    private const long FewestOutputs = 16;

    private readonly List<NamedParameter> _loaded;
    private readonly List<IDisposable> _owned;

    public ParameterLoader(Weights weights, LoadOptions options, DType dtype)
        : this(weights, "", options, dtype, [], [])
    {
    }

    private ParameterLoader(Weights weights, string name, LoadOptions options, DType dtype, List<NamedParameter> loaded, List<IDisposable> owned)
    {
        _weights = weights;
        _name = name;
        _options = options;
        DType = dtype;
        _loaded = loaded;
        _owned = owned;
    }

    /// <summary>Dtype that every parameter gets.</summary>
    public DType DType { get; }

    /// <summary>Everything taken so far, below any path.</summary>
    public IReadOnlyList<NamedParameter> Loaded => _loaded;

    /// <summary>What the layers made besides, to be disposed with the model.</summary>
    public IReadOnlyList<IDisposable> Owned => _owned;

    /// <summary>The loader for what lies below a path.</summary>
    public static ParameterLoader operator /(ParameterLoader at, string path) =>
        new(at._weights / path, $"{at._name}{path}.", at._options, at.DType, at._loaded, at._owned);

    /// <summary>The loader for a prefix of the file that Hugging Face calls <paramref name="name"/>; both end in a dot or are empty.</summary>
    public ParameterLoader At(string prefix, string name) =>
        new(prefix.Length == 0 ? _weights : _weights / prefix.TrimEnd('.'), name, _options, DType, _loaded, _owned);

    /// <summary>Whether the checkpoint holds a tensor, or any below this name.</summary>
    public bool Has(string name) => _weights.Has(name);

    /// <summary>Something that goes when the model does.</summary>
    public void Own(IDisposable part) => _owned.Add(part);

    /// <summary>
    /// The packed form of products of one input, not made yet and disposed with the model; null where the plain weights are to be used: for
    /// training, where they change, on another device, or because the caller says so.
    /// </summary>
    public PackedWeight? Pack(params Linear[] parts)
    {
        if (!_options.PackWeights || _options.Trainable || _options.Device != Device.Cpu || DType == DType.Float64
            || parts.Any(p => p.Bias.Size(0) < FewestOutputs))
            return null;
        var packed = new PackedWeight(parts);
        Own(packed);
        return packed;
    }

    /// <summary>The parameter, which now belongs to the model: no scope disposes it.</summary>
    public Tensor Get(string name, params ReadOnlySpan<long> shape)
    {
        Tensor parameter;
        using (var scope = new TensorScope())
        {
            Tensor stored = _weights.Get(name, shape);
            parameter = stored.To(_options.Device).To(DType);
            // The optimizer writes into a trained parameter: never into the mapped file.
            if (_options.Trainable && stored.DType == DType && stored.Device == _options.Device)
                parameter = stored.Clone();
            parameter.Keep();
        }
        if (_options.Trainable)
            parameter.RequiresGrad = true;
        _loaded.Add(new NamedParameter(_name + name, parameter));
        return parameter;
    }
}
