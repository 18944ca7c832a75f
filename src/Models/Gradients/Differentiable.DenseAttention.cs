using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// Attention to every key of a sequence: the decoder of an LED, and the two modes of allenai's that are no windows.
public static partial class Differentiable
{
    // Probabilities that exist at once, but for those of a single head: a document of 4,096 tokens has 50 MB of them for 12 heads and 256 queries.
    private const long MostProbabilities = 2 << 20;

    /// <summary>
    /// softmax(scale * query . key) . value over the keys of each sequence: fused where that can be, else by libtorch's products, with the
    /// probabilities of one part at a time, or of some of its heads; the backward computes them again.
    /// </summary>
    /// <param name="query">[N, H, D].</param>
    /// <param name="key">[M, H, D].</param>
    /// <param name="value">[M, H, D].</param>
    /// <param name="options">Which keys a query sees.</param>
    /// <returns>[N, H, D].</returns>
    internal static Tensor DenseAttention(Tensor query, Tensor key, Tensor value, DenseAttentionOptions options) =>
        options.Fused(query, key) is { } sequences
            ? FusedDenseAttention(query, key, value, sequences)
            : DenseAttentionByParts(query, key, value, options);

    private static Tensor FusedDenseAttention(Tensor query, Tensor key, Tensor value, DenseSequences sequences)
    {
        (Tensor output, Tensor logSumExp) = LongformerOps.DenseAttention(query, key, value, sequences);
        if (Recording(out GradientTape tape, [query, key, value]))
        {
            (GradientSum? ofQuery, GradientSum? ofKey, GradientSum? ofValue) = (tape.Find(query), tape.Find(key), tape.Find(value));
            tape.Record(output, [query, key, value, output, logSumExp, sequences.Mask], (gradient, saved) =>
            {
                (Tensor q, Tensor k, Tensor v) = LongformerOps.DenseAttentionBackward(
                    gradient.Tensor, saved[0], saved[1], saved[2], saved[3], saved[4], sequences with { Mask = saved[5] });
                ofQuery?.Add(q);
                ofKey?.Add(k);
                ofValue?.Add(v);
            });
        }
        logSumExp.Dispose();
        sequences.Mask?.Dispose();
        return output;
    }

    private static Tensor DenseAttentionByParts(Tensor query, Tensor key, Tensor value, DenseAttentionOptions options)
    {
        using TensorScope scope = new();
        Tensor output = scope.Keep(Tensor.Empty(query.Shape, query.DType, query.Device));
        foreach (DenseAttentionPart part in options.Parts.SelectMany(part => InGroups(part, query.Size(1), options)))
        {
            using TensorScope inner = new();
            Tensor probabilities = Probabilities(part.OfQueries(query) * options.Scale, part.OfKeys(key), part);
            options.Probabilities?.Invoke(probabilities);
            part.OfQueries(output).CopyInPlace(Dropped(probabilities, part, options).MatMul(part.OfKeys(value)));
        }
        if (!Recording(out GradientTape tape, [query, key, value]))
            return output;
        (GradientSum? ofQuery, GradientSum? ofKey, GradientSum? ofValue) = (tape.Find(query), tape.Find(key), tape.Find(value));
        tape.Record(output, [query, key, value, .. options.Parts.Select(part => part.Hidden)], (gradient, saved) =>
        {
            Tensor[] sums = [.. saved.Take(3).Select(of => Tensor.Zeros(of.Shape, of.DType, of.Device))];
            for (int i = 0; i < options.Parts.Count; i++)
            {
                foreach (DenseAttentionPart part in InGroups(options.Parts[i] with { Hidden = saved[3 + i] }, saved[0].Size(1), options))
                {
                    using TensorScope inner = new();
                    AddBackward(sums, gradient.Tensor, saved, part, options);
                }
            }
            ofQuery?.Add(sums[0]);
            ofKey?.Add(sums[1]);
            ofValue?.Add(sums[2]);
        });
        return output;
    }

    /// <summary>
    /// A part in groups of heads. Dropout takes an element by its place among all heads, and who looks at probabilities is given them together:
    /// then there is one group.
    /// </summary>
    private static IEnumerable<DenseAttentionPart> InGroups(DenseAttentionPart part, long heads, DenseAttentionOptions options)
    {
        long most = options.Dropout > 0 || options.Probabilities is not null ? heads
            : Math.Max(1, MostProbabilities / Math.Max(1, part.Count * part.Queries * part.Keys));
        for (long from = 0; from < heads; from += most)
            yield return part with { HeadFrom = from, Heads = Math.Min(most, heads - from) };
    }

    /// <summary>Adds the gradients of one part to those of all queries, keys and values.</summary>
    private static void AddBackward(Tensor[] sums, Tensor gradient, Tensor[] saved, DenseAttentionPart part, DenseAttentionOptions options)
    {
        Tensor query = part.OfQueries(saved[0]) * options.Scale, key = part.OfKeys(saved[1]), value = part.OfKeys(saved[2]);
        Tensor probabilities = Probabilities(query, key, part), of = part.OfQueries(gradient);
        part.OfKeys(sums[2]).AddInPlace(Dropped(probabilities, part, options).Transpose(-1, -2).MatMul(of));
        Tensor scores = Dropped(of.MatMul(value.Transpose(-1, -2)), part, options).MulInPlace(probabilities);
        scores.SubInPlace(probabilities * scores.Sum(-1, keep: true));
        if (part.Hidden is not null)
            scores = scores.MaskedFillInPlace(part.Hidden, 0);
        part.OfQueries(sums[0]).AddInPlace(scores.MatMul(key), options.Scale);
        part.OfKeys(sums[1]).AddInPlace(scores.Transpose(-1, -2).MatMul(query));
    }

    /// <summary>[P, H, S, T] of scaled queries and keys.</summary>
    private static Tensor Probabilities(Tensor query, Tensor key, DenseAttentionPart part)
    {
        using TensorScope scope = new();
        Tensor scores = query.MatMul(key.Transpose(-1, -2));
        if (part.Hidden is not null)
            scores.MaskedFillInPlace(part.Hidden, Lowest(query.DType));
        return scope.Keep(scores.Softmax(-1));
    }

    /// <summary>A tensor like the probabilities without what is dropped from them.</summary>
    private static Tensor Dropped(Tensor probabilities, DenseAttentionPart part, DenseAttentionOptions options) =>
        options.Dropout == 0 ? probabilities : LongformerOps.HiddenDropout(probabilities, options.Dropout, part.Seed);

    /// <summary>HF's value for hidden scores: finite, so that a row without any visible key gives no NaN.</summary>
    private static double Lowest(DType dtype) => dtype switch
    {
        DType.Float64 => double.MinValue,
        DType.Float16 => -65504,
        DType.BFloat16 => -3.3895313892515355e38,
        _ => float.MinValue,
    };
}
