using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// y = x W^T + b of x [N, in], W [out, in], b [out]. The one place where a matrix product with weights happens, so that packing or
/// joining weights is decided here.
/// </summary>
public sealed class Linear
{
    private Linear(Tensor weight, Tensor bias)
    {
        Weight = weight;
        Bias = bias;
    }

    /// <summary>[out, in].</summary>
    public Tensor Weight { get; }

    /// <summary>[out].</summary>
    public Tensor Bias { get; }

    /// <summary>Takes <c>weight</c> and <c>bias</c> below a path of a checkpoint.</summary>
    internal static Linear Load(ParameterLoader at, long outputs, long inputs) =>
        new(at.Get("weight", outputs, inputs), at.Get("bias", outputs));

    /// <summary>A product with tensors that were taken elsewhere: the tied decoder.</summary>
    internal static Linear Of(Tensor weight, Tensor bias) => new(weight, bias);

    /// <summary>[N, out] of [N, in].</summary>
    public Tensor Forward(Tensor input) => LongformerOps.Linear(input, Weight, Bias);

    /// <summary>The activation of the product, [N, out].</summary>
    public Tensor Forward(Tensor input, HiddenActivation activation)
    {
        if (activation == HiddenActivation.Silu)
        {
            using var scope = new TensorScope();
            Tensor product = Forward(input);
            return scope.Keep(product * product.Sigmoid());
        }
        return LongformerOps.Linear(input, Weight, Bias, activation: activation switch
        {
            HiddenActivation.Gelu => Activation.Gelu,
            HiddenActivation.GeluTanh => Activation.GeluTanh,
            HiddenActivation.Relu => Activation.Relu,
            HiddenActivation.Tanh => Activation.Tanh,
            _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, "not an activation"),
        });
    }
}
