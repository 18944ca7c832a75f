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
    public Tensor Weight { get; }

    /// <summary>[out].</summary>
    public Tensor Bias { get; }

    /// <summary>Whether the product would be recorded for a gradient of the parameters, where gradients are recorded at all.</summary>
    internal bool IsTrained => Weight.RequiresGrad || Bias.RequiresGrad;

    /// <summary>Takes <c>weight</c> and <c>bias</c> below a path of a checkpoint.</summary>
    internal static Linear Load(ParameterLoader at, long outputs, long inputs) =>
        new(at.Get("weight", outputs, inputs), at.Get("bias", outputs), at);

    /// <summary>
    /// A product with tensors that were taken elsewhere, never packed: the tied decoder, whose weight is the word table, needed as it is.
    /// </summary>
    internal static Linear Of(Tensor weight, Tensor bias) => new(weight, bias, null);

    /// <summary>[N, out] of [N, in].</summary>
    public Tensor Forward(Tensor input) => LongformerOps.Linear(input, Weight, Bias, _packed?.Get()?.Packed);

    /// <summary>The activation of the product, [N, out].</summary>
    public Tensor Forward(Tensor input, HiddenActivation activation)
    {
        if (activation == HiddenActivation.Silu)
        {
            using var scope = new TensorScope();
            Tensor product = Forward(input);
            return scope.Keep(product * product.Sigmoid());
        }
        return LongformerOps.Linear(input, Weight, Bias, _packed?.Get()?.Packed, activation switch
        {
            HiddenActivation.Gelu => Activation.Gelu,
            HiddenActivation.GeluTanh => Activation.GeluTanh,
            HiddenActivation.Relu => Activation.Relu,
            HiddenActivation.Tanh => Activation.Tanh,
            _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, "not an activation"),
        });
    }

    /// <summary>The product written to <paramref name="output"/> [N, out], which is returned; not where a gradient is recorded.</summary>
    public Tensor ForwardInto(Tensor output, Tensor input) => LongformerOps.LinearInto(output, input, Weight, Bias, _packed?.Get()?.Packed);
}
