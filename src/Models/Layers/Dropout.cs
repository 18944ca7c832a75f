using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The dropouts of one training pass. Every mask is a pure function of the pass's seed, the place in the model and the element's
/// index, so that recomputing a part of the model (gradient checkpointing) or running beside other threads changes nothing.
/// </summary>
internal sealed class Dropout(long? seed, double hidden, double attention)
{
    private const long Multiplier = unchecked((long)0xBF58476D1CE4E5B9UL);
    private const long SecondMultiplier = unchecked((long)0x94D049BB133111EBUL);

    private static readonly Operator Xor = Operator.Find("aten::bitwise_xor", "Tensor");
    private static readonly Operator And = Operator.Find("aten::bitwise_and", "Scalar");
    private static readonly Operator ShiftRight = Operator.Find("aten::__rshift__", "Scalar");

    /// <summary>Whether this is a training pass with dropout.</summary>
    public bool IsOn => seed is not null;

    /// <summary>Probability of dropping an attention probability in this pass; 0 in evaluation.</summary>
    public double AttentionProbability => seed is null ? 0 : attention;

    /// <summary>The seed of one place of the model: a layer and a number within it.</summary>
    public long SeedAt(int layer, int place)
    {
        ulong x = (ulong)seed.GetValueOrDefault() + (0x9E3779B97F4A7C15UL * (ulong)((16 * (layer + 1)) + place + 1));
        x = (x ^ (x >> 30)) * unchecked((ulong)Multiplier);
        x = (x ^ (x >> 27)) * unchecked((ulong)SecondMultiplier);
        return (long)((x ^ (x >> 31)) >> 1);
    }

    /// <summary>Hidden states with elements dropped and the kept ones divided by 1 - p; the input itself in evaluation.</summary>
    public Tensor Hidden(Tensor input, int layer, int place) => Apply(input, hidden, layer, place);

    /// <summary>The same for attention probabilities at hand; the operators drop theirs themselves.</summary>
    public Tensor Probabilities(Tensor input, int layer, int place) => Apply(input, attention, layer, place);

    private Tensor Apply(Tensor input, double probability, int layer, int place)
    {
        if (seed is null || probability == 0)
            return input;
        using var scope = new TensorScope();
        // SplitMix64's mixing in int64 tensors: >> is arithmetic there, so the bits that it carries in are masked off.
        Tensor x = Tensor.Arange(input.ElementCount, DType.Int64, input.Device) + SeedAt(layer, place);
        x = Mix(x, 30, Multiplier);
        x = Mix(x, 27, SecondMultiplier);
        Tensor kept = And.Call(ShiftRight.Call(x, 40), 0xFFFFFF).Ge((long)Math.Round(probability * 0x1000000));
        Tensor factor = kept.To(input.DType) * (1 / (1 - probability));
        return scope.Keep(input * factor.View(input.Shape));
    }

    private static Tensor Mix(Tensor x, int shift, long multiplier)
    {
        using var scope = new TensorScope();
        Tensor high = And.Call(ShiftRight.Call(x, shift), (1L << (64 - shift)) - 1);
        return scope.Keep(Xor.Call(x, high) * multiplier);
    }
}
