using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>The parameters of <see cref="LongformerOps.Linear"/>.</summary>
/// <param name="Weight">[out, in].</param>
/// <param name="Bias">[out].</param>
/// <param name="Packed">The result of <see cref="LongformerOps.LinearPack"/> for the weight, or null.</param>
public readonly record struct LinearWeights(Tensor Weight, Tensor Bias, Tensor? Packed);

/// <summary>The parameters of <see cref="LongformerOps.AddLayerNorm"/>.</summary>
/// <param name="Weight">[C].</param>
/// <param name="Bias">[C].</param>
/// <param name="Epsilon">Added to the variance.</param>
public readonly record struct LayerNormWeights(Tensor Weight, Tensor Bias, double Epsilon);

public static partial class LongformerOps
{
    private static readonly OwnOperator FeedForwardOp = new("_feed_forward_");

    /// <summary>
    /// What a layer of an encoder does behind its attention, on a CPU and without gradients: the output projection, then the two products of
    /// the feed-forward part, each of both added to its input and normalized. Rows pass through all of it a few at a time, so that what
    /// is in between stays in the cache. The result is that of <see cref="Linear"/> and <see cref="AddLayerNorm"/> one after the other, bit
    /// by bit but for Float64.
    /// </summary>
    /// <param name="context">[N, C], contiguous: what the attention gathered. The result takes its place.</param>
    /// <param name="hidden">[N, C]: the layer's input.</param>
    /// <param name="attention">The output projection, [C, C].</param>
    /// <param name="attentionNorm">Of its sum with the input.</param>
    /// <param name="inner">The first product, [I, C].</param>
    /// <param name="activation">The function behind it.</param>
    /// <param name="output">The second product, [C, I].</param>
    /// <param name="outputNorm">Of its sum with what went into the first.</param>
    public static void FeedForward(Tensor context, Tensor hidden, LinearWeights attention, LayerNormWeights attentionNorm, LinearWeights inner,
        Activation activation, LinearWeights output, LayerNormWeights outputNorm) =>
        FeedForwardOp.Run(context, hidden, attention.Weight, attention.Bias, attention.Packed, attentionNorm.Weight, attentionNorm.Bias,
            attentionNorm.Epsilon, inner.Weight, inner.Bias, inner.Packed, NameOf(activation), output.Weight, output.Bias, output.Packed,
            outputNorm.Weight, outputNorm.Bias, outputNorm.Epsilon);
}
