using System.Globalization;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>A parameter of a model under its HF name.</summary>
/// <param name="Name">Name in the checkpoint.</param>
/// <param name="Tensor">The parameter itself, not a copy; it belongs to the model.</param>
/// <param name="IsTrained">Whether it is to be trained: not without <see cref="LoadOptions.Trainable"/>, and never for what HF calls a
/// buffer.</param>
public readonly record struct NamedParameter(string Name, Tensor Tensor, bool IsTrained);

/// <summary>
/// Takes parameters out of a checkpoint by explicit path, puts them on the wanted device and dtype, and remembers them under their
/// HF names. Missing and mis-shaped ones are gathered by <see cref="Weights"/>, which throws once for all.
/// </summary>
internal sealed class ParameterLoader
{
    private readonly ParameterSource _source;
    private readonly string _path;  // in the file
    private readonly string _name;  // HF's name of this path, which the file may spell otherwise
    private readonly LoadOptions _options;
    private readonly bool _inLayers;
    // Below this a product is no work worth packing for: the heads of classifiers.
    private const long FewestOutputs = 16;

    private readonly List<NamedParameter> _loaded;
    private readonly List<IDisposable> _owned;

    /// <param name="source">The tensors.</param>
    /// <param name="options">How to load.</param>
    /// <param name="dtype">The dtype of every parameter that keeps floating numbers.</param>
    /// <param name="int8">Whether the products of the layers get weights of eight bits.</param>
    public ParameterLoader(ParameterSource source, LoadOptions options, DType dtype, bool int8 = false)
        : this(source, "", "", options, dtype, int8, false, [], [])
    {
    }

    private ParameterLoader(ParameterSource source, string path, string name, LoadOptions options, DType dtype, bool int8, bool inLayers,
        List<NamedParameter> loaded, List<IDisposable> owned)
    {
        IsInt8 = int8;
        _inLayers = inLayers;
        _source = source;
        _path = path;
        _name = name;
        _options = options;
        DType = dtype;
        _loaded = loaded;
        _owned = owned;
    }

    /// <summary>Dtype that every parameter gets, but for weights of eight bits.</summary>
    public DType DType { get; }

    /// <summary>Whether the products of the layers have weights of eight bits.</summary>
    public bool IsInt8 { get; }

    /// <summary>Whether products here are to take their weights by <see cref="GetInt8"/>.</summary>
    public bool TakesInt8 => IsInt8 && _inLayers;

    /// <summary>The loader of the same path for the layers of a body, whose products may have weights of eight bits; heads and poolers do
    /// not.</summary>
    public ParameterLoader InLayers() => new(_source, _path, _name, _options, DType, IsInt8, true, _loaded, _owned);

    /// <summary>Everything taken so far, below any path.</summary>
    public IReadOnlyList<NamedParameter> Loaded => _loaded;

    /// <summary>Further tensors of the layers, disposed with the model.</summary>
    public IReadOnlyList<IDisposable> Owned => _owned;

    /// <summary>The loader for what is below a path.</summary>
    public static ParameterLoader operator /(ParameterLoader at, string path) =>
        new(at._source, $"{at._path}{path}.", $"{at._name}{path}.", at._options, at.DType, at.IsInt8, at._inLayers, at._loaded, at._owned);

    /// <summary>The loader for a prefix of the file that HF calls <paramref name="name"/>; both end in a dot or are empty.</summary>
    public ParameterLoader At(string prefix, string name) =>
        new(_source, prefix, name, _options, DType, IsInt8, _inLayers, _loaded, _owned);

    /// <summary>Whether the checkpoint holds a tensor, or any below this name.</summary>
    public bool Has(string name) => _source.Has(_path + name);

    /// <summary>Lets the model dispose a part together with itself.</summary>
    public void Own(IDisposable part) => _owned.Add(part);

    /// <summary>
    /// The packed form of products of one input, not made yet and disposed with the model; null where the plain weights are to be used: for
    /// training, where they change, on another device, or because the caller says so. Weights of eight bits are always packed.
    /// </summary>
    public PackedWeight? Pack(params Linear[] parts)
    {
        if (parts[0].Int8 is null && (!_options.PackWeights || _options.Trainable || _options.Device != Device.Cpu || DType == DType.Float64
            || parts.Any(p => p.Bias.Size(0) < FewestOutputs)))
        {
            return null;
        }
        PackedWeight packed = new(parts);
        Own(packed);
        return packed;
    }

    /// <summary>
    /// The weights and biases of products of one input, behind one another, so that a device computes them as one; null on the CPU, which has
    /// <see cref="Pack"/> for it, and for training. The parts become views of the joined ones: nothing is held twice.
    /// </summary>
    public (Tensor Weight, Tensor Bias)? Join(params Linear[] parts)
    {
        if (_options.Device == Device.Cpu || _options.Trainable)
            return null;
        using TensorScope scope = new();
        (Tensor weight, Tensor bias) = (Tensor.Cat([.. parts.Select(p => p.Weight)], 0).Keep(), Tensor.Cat([.. parts.Select(p => p.Bias)], 0).Keep());
        Own(weight);
        Own(bias);
        long from = 0;
        foreach (Linear part in parts)
        {
            long rows = part.Bias.Size(0);
            (Tensor weightBefore, Tensor biasBefore) = (part.Weight, part.Bias);
            part.MoveTo(weight.Narrow(0, from, rows).Keep(), bias.Narrow(0, from, rows).Keep());
            Replace(weightBefore, part.Weight);
            Replace(biasBefore, part.Bias);
            from += rows;
        }
        return (weight, bias);
    }

    private void Replace(Tensor before, Tensor after)
    {
        int i = _loaded.FindIndex(p => ReferenceEquals(p.Tensor, before));
        _loaded[i] = _loaded[i] with { Tensor = after };
        before.Dispose();
    }

    /// <summary>The parameter, which now belongs to the model: no scope disposes it.</summary>
    public Tensor Get(string name, params ReadOnlySpan<long> shape) => Take(name, shape, _options.Trainable);

    /// <summary>The same for what HF calls a buffer, which is never trained.</summary>
    public Tensor GetBuffer(string name, params ReadOnlySpan<long> shape) => Take(name, shape, isTrained: false);

    private Tensor Take(string name, ReadOnlySpan<long> shape, bool isTrained)
    {
        Tensor parameter;
        using (TensorScope scope = new())
        {
            Tensor stored = _source.Get(_path + name, shape);
            if (Int8ScaleOf(name, stored) is { } scale)
                stored = Int8Weight.Dequantize(stored, scale);
            parameter = _source.IsGiven ? stored : _options.Device == Device.Cpu ? stored.To(DType) : Upload(stored);
            // The optimizer writes into a trained parameter: never into the mapped file.
            if (_options.Trainable && !_source.IsGiven && stored.DType == DType && stored.Device == _options.Device)
                parameter = stored.Clone();
            parameter.Keep();
        }
        _loaded.Add(new NamedParameter(_name + name, parameter, isTrained));
        return parameter;
    }

    /// <summary>The weight of a product in eight bits, which now belongs to the model: that of the file, or what the file has quantized.</summary>
    /// <exception cref="CheckpointException">The file has eight bits without usable scales, or numbers that are not finite.</exception>
    public Int8Weight GetInt8(string name, long outputs, long inputs)
    {
        (Tensor Quantized, Tensor Scale) weight;
        using (TensorScope scope = new())
        {
            Tensor stored = _source.Get(_path + name, [outputs, inputs]);
            if (Int8ScaleOf(name, stored) is { } scale)
            {
                weight = (stored, scale);
            }
            else
            {
                (Tensor quantized, Tensor factors) = Quantize(_path + name, stored);
                weight = (quantized, factors.View(outputs, 1));
                MappedMemory.Leave(stored);
            }
            weight.Quantized.Keep();
            weight.Scale.Keep();
        }
        _loaded.Add(new NamedParameter(_name + name, weight.Quantized, IsTrained: false));
        _loaded.Add(new NamedParameter(_name + name + Int8Format.ScaleSuffix, weight.Scale, IsTrained: false));
        Int8Weight int8 = new(weight.Quantized, weight.Scale);
        Own(int8);
        return int8;
    }

    /// <summary>A table's copy in eight bits, not made yet and disposed with the model; null where the model has none.</summary>
    public Int8Table? Int8CopyOf(Tensor table)
    {
        if (!IsInt8)
            return null;
        Int8Table copy = new(table);
        Own(copy);
        return copy;
    }

    private static (Tensor Quantized, Tensor Scale) Quantize(string name, Tensor stored)
    {
        try
        {
            return LongformerOps.Int8Quantize(stored);
        }
        catch (InputException e)
        {
            throw new CheckpointException($"tensor {name} cannot be quantized: {e.Message}", e);
        }
    }

    /// <summary>Float32 [out, 1], the scales of a stored tensor [out, in] of eight bits; null where it has other numbers.</summary>
    private Tensor? Int8ScaleOf(string name, Tensor stored)
    {
        string full = _path + name, scaleName = full + Int8Format.ScaleSuffix;
        bool hasScale = !_source.IsGiven && _source.Contains(scaleName);
        if (stored.DType != DType.Int8)
        {
            // One of another shape is a placeholder by now, and noted.
            return hasScale && _source.TypeOf(full) is { } other and not DType.Int8
                ? throw new CheckpointException($"tensor {full} has scales ({scaleName}): expected I8 beside them, given {other}")
                : null;
        }
        if (stored.Rank != 2 || !hasScale)
        {
            throw new CheckpointException($"tensor {full} is I8: expected a matrix with the scales of its rows in {scaleName}, given "
                + (stored.Rank != 2 ? $"{stored.Rank} dimensions" : "no scales"));
        }
        using TensorScope scope = new();
        Tensor scale = _source.Get(scaleName, [stored.Size(0), 1]);
        if (!scale.DType.IsFloatingPoint())
            throw new CheckpointException($"tensor {scaleName}: expected floating-point scales, given {scale.DType}");
        scale = scale.To(DType.Float32);
        foreach (float value in scale.Contiguous().ToArray<float>())
        {
            if (!float.IsFinite(value) || value < 0)
            {
                throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                    $"tensor {scaleName}: expected finite scales of at least 0, given {value}"));
            }
        }
        return scope.Keep(scale);
    }

    /// <summary>The message of a load that found the device full.</summary>
    public DeviceException TooLarge(Checkpoint checkpoint, DeviceException full)
    {
        long bytes = checkpoint.Names.Sum(name => checkpoint.Entry(name).ElementCount) * DType.ElementSize();
        return new DeviceException(string.Create(CultureInfo.InvariantCulture,
            $"{checkpoint.Path}: its weights take {bytes / 1048576.0:N0} MiB in {DType.ToString().ToLowerInvariant()} on {_options.Device}: "
            + $"{full.Message}"), full)
        { IsOutOfMemory = true };
    }

    /// <summary>
    /// A tensor of the mapped file on the device, converted there. Nobody waits for the copy, and the pages that it read leave this
    /// process's memory, so that neither side ever holds more than the model and one tensor.
    /// </summary>
    private Tensor Upload(Tensor stored)
    {
        using TensorScope scope = new();
        Tensor parameter = stored.ToAsync(_options.Device).To(DType);
        MappedMemory.Leave(stored);
        return scope.Keep(parameter);
    }
}
