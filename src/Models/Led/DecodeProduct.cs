using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>
/// Products of a decoding step. Its few rows cost what the weights cost to read, which a packed copy would not make less: the weights
/// are used in place in the file, once per step for all rows. Weights of eight bits are a quarter to read; the rows keep their Float32.
/// </summary>
internal static class DecodeProduct
{
    // Behind so many rows the arithmetic of a product counts, and a packed weight pays.
    private const int PlainRows = 32;

    /// <summary>[R, out] of [R, in].</summary>
    public static Tensor Forward(Linear linear, Tensor input) =>
        IsPlain(input) ? linear.ForwardFew(input) : linear.Forward(input);

    /// <summary>The activation of the product, [R, out].</summary>
    public static Tensor Forward(Linear linear, Tensor input, HiddenActivation activation)
    {
        // No product has SiLU built in.
        return activation != HiddenActivation.Silu && IsPlain(input)
            ? linear.ForwardFew(input, Activations.FunctionOf(activation))
            : linear.Forward(input, activation);
    }

    /// <summary>The product written to <paramref name="output"/> [R, out], which is returned.</summary>
    public static Tensor Into(Tensor output, Linear linear, Tensor input) =>
        IsPlain(input) ? linear.ForwardFewInto(output, input) : linear.ForwardInto(output, input);

    /// <summary>Returns the product of many rows, computed once: the packed weight is freed afterwards.</summary>
    public static Tensor Once(Linear linear, Tensor input)
    {
        if (IsPlain(input) || linear.Int8 is not null)
            return Forward(linear, input);
        using TensorScope scope = new();
        return scope.Keep(LongformerOps.Linear(input, linear.Weight, linear.Bias, LongformerOps.LinearPack(linear.Weight)));
    }

    private static bool IsPlain(Tensor input) => input.Size(0) <= PlainRows;
}
