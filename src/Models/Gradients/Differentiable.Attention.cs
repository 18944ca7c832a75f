using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// The attention of the paper. Values of every pair of tokens are never kept: the backward computes the probabilities again.
public static partial class Differentiable
{
    /// <summary>Windowed, dilated and global attention in one, as <see cref="LongformerOps.BandedAttention"/>; differentiable in query, key and
    /// value.</summary>
    /// <param name="query">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="key">As the query.</param>
    /// <param name="value">As the query.</param>
    /// <param name="options">The keys that each query sees.</param>
    /// <returns>As the query.</returns>
    public static Tensor BandedAttention(Tensor query, Tensor key, Tensor value, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        (Tensor output, Tensor logSumExp) = LongformerOps.BandedAttention(query, key, value, options);
        if (Recording(out GradientTape tape, [query, key, value]))
        {
            (GradientSum? ofQuery, GradientSum? ofKey, GradientSum? ofValue) = (tape.Find(query), tape.Find(key), tape.Find(value));
            tape.Record(output, [query, key, value, output, logSumExp, options.Mask, options.GlobalIndex], (gradient, saved) =>
            {
                (Tensor q, Tensor k, Tensor v) = LongformerOps.BandedAttentionBackward(
                    gradient.Tensor, saved[0], saved[1], saved[2], saved[3], saved[4], options with { Mask = saved[5], GlobalIndex = saved[6] });
                ofQuery?.Add(q);
                ofKey?.Add(k);
                ofValue?.Add(v);
            });
        }
        logSumExp.Dispose();
        return output;
    }

    /// <summary>The global queries over all keys of their sequence, as <see cref="LongformerOps.GlobalAttention"/>; differentiable in query, key and
    /// value.</summary>
    /// <param name="query">[S, G, H, D]: only the global tokens.</param>
    /// <param name="key">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="value">As the key.</param>
    /// <param name="globalIndex">Int64 [S, G], ascending, padded at the end with -1: those rows give zeros.</param>
    /// <param name="options">Mask, offsets, scale, dropout.</param>
    /// <returns>[S, G, H, D].</returns>
    public static Tensor GlobalAttention(Tensor query, Tensor key, Tensor value, Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        GlobalAttentionOptions used = options ?? new();
        Tensor output = LongformerOps.GlobalAttention(query, key, value, globalIndex, used);
        if (!Recording(out GradientTape tape, [query, key, value]))
            return output;
        (GradientSum? ofQuery, GradientSum? ofKey, GradientSum? ofValue) = (tape.Find(query), tape.Find(key), tape.Find(value));
        tape.Record(output, [query, key, value, globalIndex, used.Mask], (gradient, saved) =>
        {
            (Tensor q, Tensor k, Tensor v) = LongformerOps.GlobalAttentionBackward(
                gradient.Tensor, saved[0], saved[1], saved[2], saved[3], used with { Mask = saved[4] });
            ofQuery?.Add(q);
            ofKey?.Add(k);
            ofValue?.Add(v);
        });
        return output;
    }

    /// <summary>
    /// The same with key and value projected from the hidden states inside, as <see cref="LongformerOps.FoldedGlobalAttention"/>; differentiable in
    /// query, hidden states, weights and biases.
    /// </summary>
    /// <param name="query">[S, G, H, D].</param>
    /// <param name="hidden">[B, T, C], or [N, C] when packed.</param>
    /// <param name="keyWeight">[H*D, C].</param>
    /// <param name="keyBias">[H*D], or null.</param>
    /// <param name="valueWeight">[H*D, C].</param>
    /// <param name="valueBias">[H*D], or null.</param>
    /// <param name="globalIndex">Int64 [S, G], ascending, padded at the end with -1: those rows give zeros.</param>
    /// <param name="options">Mask, offsets, scale, dropout.</param>
    /// <returns>[S, G, H, D].</returns>
    public static Tensor FoldedGlobalAttention(Tensor query, Tensor hidden, Tensor keyWeight, Tensor? keyBias, Tensor valueWeight,
        Tensor? valueBias, Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        GlobalAttentionOptions used = options ?? new();
        Tensor output = LongformerOps.FoldedGlobalAttention(query, hidden, keyWeight, keyBias, valueWeight, valueBias, globalIndex, used);
        Tensor?[] inputs = [query, hidden, keyWeight, keyBias, valueWeight, valueBias];
        if (!Recording(out GradientTape tape, inputs))
            return output;
        GradientSum?[] into = Array.ConvertAll(inputs, tape.Find);
        tape.Record(output, [.. inputs, globalIndex, used.Mask], (gradient, saved) =>
        {
            FoldedGlobalAttentionGradients of = LongformerOps.FoldedGlobalAttentionBackward(
                gradient.Tensor, saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6], used with { Mask = saved[7] });
            Tensor?[] gradients = [of.Query, of.Hidden, of.KeyWeight, of.KeyBias, of.ValueWeight, of.ValueBias];
            for (int i = 0; i < into.Length; i++)
            {
                if (gradients[i] is { } fresh)
                    into[i]?.Add(fresh);
            }
        });
        return output;
    }
}
