using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The LayerNorm of one sublayer: behind the sum with the residual, as in BART and every published LED, or in front of the sublayer, as
/// in mBART (<c>normalize_before</c>), whose sum passes on as it is.
/// </summary>
internal sealed class SublayerNorm(LayerNorm norm, bool before)
{
    public static SublayerNorm Load(ParameterLoader at, LedConfiguration c) =>
        new(LayerNorm.Load(at, c.DModel, LedEncoder.LayerNormEps), c.NormalizeBefore);

    /// <summary>Returns the sublayer's input, [N, C], for [N, C].</summary>
    public Tensor Before(Tensor hidden) => before ? norm.Forward(hidden) : hidden;

    /// <summary>Returns the sum of the sublayer's output, which nothing else may need, and its input, normalized where the model does so here; all
    /// [N, C].</summary>
    public Tensor After(Tensor output, Tensor hidden) => before ? Differentiable.Add(output, hidden) : norm.ForwardOver(output, hidden);
}
