using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Linear layers whose weights have eight bits: weight ~ scale [out] * quantized [out, in], integers of -127 .. 127. On the CPU.
public static partial class LongformerOps
{
    private static readonly OwnOperator Int8QuantizeOp = new("_int8_quantize"), Int8PackOp = new("_int8_pack"),
        Int8LinearOp = new("_int8_linear"), Int8LinearIntoOp = new("_int8_linear_into");

    /// <summary>The nearest integers of eight bits to each row of a weight [out, in], symmetric: Int8 [out, in], and the rows' factors, Float32
    /// [out], the largest magnitude of the row / 127.</summary>
    /// <exception cref="InputException">A value is not finite.</exception>
    public static (Tensor Quantized, Tensor Scale) Int8Quantize(Tensor weight) => Int8QuantizeOp.Call2(weight);

    /// <summary>A quantized weight, Int8 [out, in], arranged for <see cref="Int8Linear"/>.</summary>
    public static Tensor Int8Pack(Tensor quantized) => Int8PackOp.Call(quantized);

    /// <summary>activation(input x (scale * quantized)^T + bias) + residual in one pass: [..., in] -> [..., out].</summary>
    /// <param name="input">[..., in]; Float32, BFloat16 or Float16.</param>
    /// <param name="quantized">Int8 [out, in].</param>
    /// <param name="scale">Float32 [out].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="packed">
    /// The result of <see cref="Int8Pack"/>: each row of the input is then quantized too, by its own largest magnitude, and integers are
    /// multiplied; of the quantized weight only the shape matters. Null: only the weight has eight bits, for a few rows, whose time is that
    /// of reading it.
    /// </param>
    /// <param name="activation">The function after the product.</param>
    /// <param name="residual">[..., out], or null.</param>
    public static Tensor Int8Linear(Tensor input, Tensor quantized, Tensor scale, Tensor? bias = null, Tensor? packed = null,
        Activation activation = Activation.None, Tensor? residual = null) =>
        Int8LinearOp.Call(input, quantized, scale, bias, packed, NameOf(activation), residual);

    /// <summary><see cref="Int8Linear"/> into a tensor that exists, [..., out], which is given back. With a packed weight it may be of another of
    /// the input's three types than the input; a residual has its type, and the bias that or Float32.</summary>
    public static Tensor Int8LinearInto(Tensor output, Tensor input, Tensor quantized, Tensor scale, Tensor? bias = null, Tensor? packed = null,
        Activation activation = Activation.None, Tensor? residual = null)
    {
        Int8LinearIntoOp.Run(input, quantized, scale, bias, packed, NameOf(activation), residual, output);
        return output;
    }
}
