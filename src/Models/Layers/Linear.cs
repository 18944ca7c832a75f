using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// y = x W^T + b of x [N, in], W [out, in], b [out]. The one place where a matrix product with a weight happens: where the model may
/// (<see cref="LoadOptions.PackWeights"/>), the weight is packed for it at the first product. Several products of one input are
/// joined by <see cref="JoinedLinear"/>.
/// </summary>
public sealed class Linear
{
    private readonly PackedWeight? _packed;

    private Linear(Tensor weight, Tensor bias, ParameterLoader? at)
    {
        Weight = weight;
        Bias = bias;
        _packed = at?.Pack(this);
    }

    /// <summary>[out, in].</summary>
    public Tensor Weight { get; private set; }

    /// <summary>[out].</summary>
    public Tensor Bias { get; private set; }

    /// <summary>Whether the product is recorded now, for a gradient of its parameters.</summary>
    internal bool IsRecorded => GradientTape.Records(Weight, Bias);

    /// <summary>Takes <c>weight</c> and <c>bias</c> below a path of a checkpoint.</summary>
    internal static Linear Load(ParameterLoader at, long outputs, long inputs) =>
        new(at.Get("weight", outputs, inputs), at.Get("bias", outputs), at);

    /// <summary>
    /// A product with tensors that were taken elsewhere, never packed: the tied decoder, whose weight is the word table, needed as it is.
    /// </summary>
    internal static Linear Of(Tensor weight, Tensor bias) => new(weight, bias, null);

    /// <summary>From now on the same values elsewhere, while the model is loaded; the tensors so far are the caller's to dispose.</summary>
    internal void MoveTo(Tensor weight, Tensor bias) => (Weight, Bias) = (weight, bias);

    /// <summary>[N, out] of [N, in].</summary>
    public Tensor Forward(Tensor input) => Differentiable.Linear(input, Weight, Bias, _packed?.Get()?.Packed);

    /// <summary>The activation of the product, [N, out].</summary>
    public Tensor Forward(Tensor input, HiddenActivation activation)
    {
        if (activation != HiddenActivation.Silu)
            return Differentiable.Linear(input, Weight, Bias, _packed?.Get()?.Packed, Activations.FunctionOf(activation));
        // No product has it built in.
        using TensorScope scope = new();
        return scope.Keep(Differentiable.Activate(Forward(input), Activation.Silu));
    }

    /// <summary>The product written to <paramref name="output"/> [N, out], which is returned; not where a gradient is recorded.</summary>
    public Tensor ForwardInto(Tensor output, Tensor input) => LongformerOps.LinearInto(output, input, Weight, Bias, _packed?.Get()?.Packed);
}
