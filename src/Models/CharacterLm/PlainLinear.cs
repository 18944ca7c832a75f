using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// y = x W^T + b with or without a bias, packed for the CPU at its first product where the model may pack. The products of transformer-xl's
/// attention have no bias.
/// </summary>
internal sealed class PlainLinear : IDisposable
{
    private readonly bool _packs;
    private readonly Lock _lock = new();
    private Tensor? _packed;

    public PlainLinear(Tensor weight, Tensor? bias, bool packs) => (Weight, Bias, _packs) = (weight, bias, packs);

    /// <summary>[out, in].</summary>
    public Tensor Weight { get; }

    /// <summary>[out], or null.</summary>
    public Tensor? Bias { get; }

    /// <summary>[N, out] of [N, in].</summary>
    public Tensor Forward(Tensor input, Activation activation = Activation.None) =>
        Differentiable.Linear(input, Weight, Bias, Packed(), activation);

    /// <summary>As many products as there are parts of the outputs, each [N, out / parts].</summary>
    public Tensor[] ForwardParts(Tensor input, int parts)
    {
        long width = Weight.Size(0) / parts;
        if (!GradientTape.Records(input, Weight))
        {
            Tensor all = Forward(input);
            return [.. Enumerable.Range(0, parts).Select(i => all.Narrow(1, i * width, width))];
        }
        // Of the weight, whose gradient is put together from parts more cheaply than that of the activations.
        return [.. Enumerable.Range(0, parts).Select(i => Differentiable.Linear(input, Differentiable.Narrow(Weight, 0, i * width, width)))];
    }

    /// <summary>Frees the packed form; the weight is the model's.</summary>
    public void Dispose() => _packed?.Dispose();

    private Tensor? Packed()
    {
        if (!_packs)
            return null;
        if (_packed is { } made)
            return made;
        lock (_lock)
        {
            if (_packed is null)
            {
                using TensorScope scope = new();
                _packed = LongformerOps.LinearPack(Weight).Keep();
            }
            return _packed;
        }
    }
}
