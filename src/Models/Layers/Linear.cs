using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// y = x W^T + b of x [N, in], W [out, in], b [out]. The one place where a matrix product with a weight happens: where the model may
/// (<see cref="LoadOptions.PackWeights"/>), the weight is packed for it at the first product. Several products of one input are
/// joined by <see cref="JoinedLinear"/>. Of a model of eight bits (<see cref="DType.Int8"/>) W is in eight bits, and so is x as it comes, each row by
/// its own largest magnitude; sums are exact.
/// </summary>
public sealed class Linear
{
    private readonly PackedWeight? _packed;
    private Tensor? _weight;

    private Linear(Tensor? weight, Int8Weight? int8, Tensor bias, ParameterLoader? at)
    {
        _weight = weight;
        Int8 = int8;
        Bias = bias;
        _packed = at?.Pack(this);
    }

    /// <summary>[out, in]; of a weight of eight bits its value in Float32, made when it is first asked for.</summary>
    public Tensor Weight => _weight ?? Int8!.Dequantized();

    /// <summary>The weight where it has eight bits.</summary>
    internal Int8Weight? Int8 { get; }

    /// <summary>[out].</summary>
    public Tensor Bias { get; private set; }

    /// <summary>The weight in the layout of the matrix product; null where it is multiplied as it is, or has eight bits.</summary>
    internal Tensor? Packed => Int8 is null ? _packed?.Get()?.Packed : null;

    /// <summary>Whether the product is recorded now, for a gradient of its parameters.</summary>
    internal bool IsRecorded => Int8 is null && GradientTape.Records(Weight, Bias);

    /// <summary>Takes <c>weight</c> and <c>bias</c> below a path of a checkpoint.</summary>
    internal static Linear Load(ParameterLoader at, long outputs, long inputs) => at.TakesInt8
        ? new(null, at.GetInt8("weight", outputs, inputs), at.Get("bias", outputs), at)
        : new(at.Get("weight", outputs, inputs), null, at.Get("bias", outputs), at);

    /// <summary>
    /// A product with tensors that were taken elsewhere, never packed: the tied decoder, whose weight is the word table, needed as it is.
    /// </summary>
    internal static Linear Of(Tensor weight, Tensor bias) => new(weight, null, bias, null);

    /// <summary>From now on the same values elsewhere, while the model is loaded; the tensors so far are the caller's to dispose.</summary>
    internal void MoveTo(Tensor weight, Tensor bias) => (_weight, Bias) = (weight, bias);

    /// <summary>[N, out] of [N, in].</summary>
    public Tensor Forward(Tensor input) => Product(input, Activation.None);

    /// <summary>The activation of the product, [N, out].</summary>
    public Tensor Forward(Tensor input, HiddenActivation activation)
    {
        if (activation != HiddenActivation.Silu)
            return Product(input, Activations.FunctionOf(activation));
        // No product has it built in.
        using TensorScope scope = new();
        return scope.Keep(Differentiable.Activate(Forward(input), Activation.Silu));
    }

    /// <summary>[N, out] of the activation of [N, in].</summary>
    internal Tensor ForwardActivated(Tensor input, HiddenActivation activation) => Int8 is null
        ? Differentiable.ActivatedLinear(input, Activations.FunctionOf(activation), Weight, Bias, _packed?.Get()?.Packed)
        : throw new InvalidOperationException("a model of eight bits gives no gradients");

    /// <summary>The product written to <paramref name="output"/> [N, out], which is returned; not where a gradient is recorded.</summary>
    public Tensor ForwardInto(Tensor output, Tensor input) => Int8 is null
        ? LongformerOps.LinearInto(output, input, Weight, Bias, _packed?.Get()?.Packed)
        : Int8Into(output, input, _packed!.Get()!);

    /// <summary>The product of a few rows, whose time is that of reading the weight: it is read where it is, in no packed form, and of a weight
    /// of eight bits nothing else has eight.</summary>
    internal Tensor ForwardFew(Tensor input, Activation activation = Activation.None)
    {
        if (Int8 is null)
            return LongformerOps.Linear(input, Weight, Bias, activation: activation);
        using TensorScope scope = new();
        return scope.Keep(LongformerOps.Int8Linear(input, Int8.Quantized, Int8.Scale(), Bias, activation: activation));
    }

    /// <summary>The same written to <paramref name="output"/> [N, out], which is returned.</summary>
    internal Tensor ForwardFewInto(Tensor output, Tensor input)
    {
        if (Int8 is null)
            return LongformerOps.LinearInto(output, input, Weight, Bias);
        using TensorScope scope = new();
        return LongformerOps.Int8LinearInto(output, input, Int8.Quantized, Int8.Scale(), Bias);
    }

    private static Tensor Int8Into(Tensor output, Tensor input, PackedWeight.Form form) =>
        LongformerOps.Int8LinearInto(output, input, form.Shape, form.Scale!, form.Bias, form.Packed);

    private Tensor Product(Tensor input, Activation activation)
    {
        if (Int8 is null)
            return Differentiable.Linear(input, Weight, Bias, _packed?.Get()?.Packed, activation);
        if (GradientTape.Records(input))
            throw new InvalidOperationException("a model of eight bits gives no gradients: load it with another dtype, such as Float32");
        return PackedWeight.Multiply(_packed!.Get()!, input, activation);
    }
}
