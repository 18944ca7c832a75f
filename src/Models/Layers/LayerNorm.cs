using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>(x - mean) / sqrt(variance + eps) * weight + bias over the last dimension.</summary>
public sealed class LayerNorm
{
    private LayerNorm(Tensor weight, Tensor bias, double eps)
    {
        Weight = weight;
        Bias = bias;
        Eps = eps;
    }

    /// <summary>[C].</summary>
    internal Tensor Weight { get; }

    /// <summary>[C].</summary>
    internal Tensor Bias { get; }

    /// <summary>Added to the variance.</summary>
    internal double Eps { get; }

    /// <summary>Takes <c>weight</c> and <c>bias</c> below a path of a checkpoint.</summary>
    internal static LayerNorm Load(ParameterLoader at, long size, double eps) => new(at.Get("weight", size), at.Get("bias", size), eps);

    /// <summary>Whether it is recorded now, for a gradient of its parameters.</summary>
    internal bool IsRecorded => GradientTape.Records(Weight, Bias);

    /// <summary>The normalized input, [N, C].</summary>
    public Tensor Forward(Tensor input) => Differentiable.AddLayerNorm(input, null, Weight, Bias, Eps);

    /// <summary>Returns the normalized sum of a sublayer's output and its input, both [N, C].</summary>
    public Tensor Forward(Tensor input, Tensor residual) => Differentiable.AddLayerNorm(input, residual, Weight, Bias, Eps);

    /// <summary>The same of an input that nothing else needs, whose values are lost where a gradient is recorded, with elements dropped from it, but
    /// not from the residual, as <see cref="Dropout.Apply"/> drops them.</summary>
    internal Tensor ForwardOver(Tensor input, Tensor residual, double dropout = 0, long seed = 0) =>
        Differentiable.DropoutAddLayerNormOver(input, residual, Weight, Bias, Eps, dropout, seed);

    /// <summary>The normalized sum of rows of embedding tables, [N, C].</summary>
    internal Tensor Embed(EmbeddingRows words, EmbeddingRows positions, EmbeddingRows? types = null, double wordScale = 1) =>
        Differentiable.Embed(words, positions, types, Weight, Bias, Eps, wordScale);

    /// <summary>The same of an input and a residual, written to <paramref name="output"/> [N, C], which may be either of the two and is returned; not
    /// where a gradient is recorded.</summary>
    public Tensor ForwardInto(Tensor output, Tensor input, Tensor? residual) =>
        LongformerOps.AddLayerNormInto(output, input, residual, Weight, Bias, Eps);
}
