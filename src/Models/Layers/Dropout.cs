using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The dropouts of one training pass. Every mask is a pure function of the pass's seed, the place in the model and the element's
/// index, so that recomputing a part of the model (gradient checkpointing) or running beside other threads changes nothing.
/// </summary>
internal sealed class Dropout(long? seed, double hidden, double attention)
{
    /// <summary>Whether this is a training pass with dropout.</summary>
    public bool IsOn => seed is not null;

    /// <summary>Probability of dropping an attention probability in this pass; 0 in evaluation.</summary>
    public double AttentionProbability => seed is null ? 0 : attention;

    /// <summary>Probability of dropping a hidden state in this pass; 0 in evaluation.</summary>
    public double HiddenProbability => seed is null ? 0 : hidden;

    /// <summary>The seed of one place of the model: a layer and a number within it.</summary>
    public long SeedAt(int layer, int place)
    {
        ulong x = (ulong)seed.GetValueOrDefault() + (0x9E3779B97F4A7C15UL * (ulong)((16 * (layer + 1)) + place + 1));
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return (long)((x ^ (x >> 31)) >> 1);
    }

    /// <summary>LayerNorm of such states plus a residual, in one pass; nothing else may need the input.</summary>
    public Tensor Normalize(LayerNorm norm, Tensor input, Tensor residual, int layer, int place) =>
        norm.ForwardOver(input, residual, HiddenProbability, SeedAt(layer, place));

    /// <summary>Hidden states with elements dropped and the kept ones divided by 1 - p; the input itself in evaluation.</summary>
    public Tensor Apply(Tensor input, int layer, int place) =>
        HiddenProbability == 0 ? input : Differentiable.Dropout(input, HiddenProbability, SeedAt(layer, place));
}
