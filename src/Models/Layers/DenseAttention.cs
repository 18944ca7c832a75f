using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// allenai's two other attention modes, in plain differentiable tensor operations: <c>n2</c>, the ordinary full attention that a Longformer
/// is compared with, and <c>sliding_chunks_no_overlap</c>. Both are for fidelity to checkpoints that were made with them.
/// </summary>
internal static class DenseAttention
{
    // Hides a score from the softmax without making a row of NaN where everything is hidden.
    private const double Hidden = -1e30;

    /// <summary>
    /// Full attention [N, H, D] over the visible keys of each sequence. Rows of padding are not zeroed: that is RoBERTa's attention.
    /// </summary>
    public static Tensor Full(Tensor query, Tensor key, Tensor value, SequenceBatch batch, Dropout dropout, int layer) =>
        BySequence(query, key, value, batch, part =>
        {
            Tensor scores = part.Query.Transpose(1, 2).MatMul(part.Key.Transpose(1, 2).Transpose(-1, -2)).To(SoftmaxType(query));  // [B, H, T, T]
            if (part.Visible is not null)
                scores = scores.MaskedFill(part.Visible.Not().View(part.Batch, 1, 1, part.Length), Hidden);
            Tensor probabilities = dropout.Probabilities(scores.Softmax(-1).To(query.DType), layer, 0);
            return probabilities.MatMul(part.Value.Transpose(1, 2)).Transpose(1, 2);
        });

    /// <summary>
    /// <c>sliding_chunks_no_overlap</c> [N, H, D]: blocks of <paramref name="window"/> tokens see the block before, their own, the one after and the global
    /// tokens. At the two ends some zero keys of score 0 stay in the softmax, as in the reference. A sequence is extended by padding
    /// to whole blocks.
    /// </summary>
    public static Tensor NoOverlap(Tensor query, Tensor key, Tensor value, SequenceBatch batch, int window, Dropout dropout, int layer) =>
        BySequence(query, key, value, batch, part =>
        {
            long length = (part.Length + window - 1) / window * window;
            long added = length - part.Length;
            Tensor q = WindowProducts.PadTokens(part.Query, 0, added);
            Tensor k = WindowProducts.PadTokens(part.Key, 0, added);
            Tensor v = WindowProducts.PadTokens(part.Value, 0, added);
            Tensor scores = WindowProducts.MaskInvalidLocations(WindowProducts.NoOverlapScores(q, k, window), window, [1], autoregressive: false);
            scores = scores.To(SoftmaxType(query));
            // Columns of padding and of global tokens leave the window; the blocks outside the sequence count as neither.
            Tensor removed = part.Removed(length, scores.DType);                                                       // [B, T, 1, 1], 1 or 0
            Tensor hidden = WindowProducts.NoOverlapScores(removed.OnesLike(), removed, window).Gt(0.5);               // [B, T, 1, 3W]
            scores = scores.MaskedFill(hidden, Hidden);
            Tensor? globalValue = null;
            if (part.Globals is not null)
            {
                (Tensor globalScores, globalValue) = part.GlobalColumns(q, scores.DType, Hidden);                      // [B, T, H, G], [B, G, H, D]
                scores = Tensor.Cat([globalScores, scores], -1);
            }
            Tensor probabilities = scores.Softmax(-1);
            if (part.Visible is not null || added > 0)
                probabilities = probabilities.MaskedFill(part.Invisible(length), 0);
            probabilities = dropout.Probabilities(probabilities.To(query.DType), layer, 0);
            if (globalValue is null)
                return WindowProducts.NoOverlapContext(probabilities, v, window).Slice(1, 0, part.Length);
            long globals = globalValue.Shape[1];
            Tensor local = WindowProducts.NoOverlapContext(probabilities.Narrow(3, globals, 3L * window).Contiguous(), v, window);
            Tensor global = probabilities.Narrow(3, 0, globals).Transpose(1, 2).MatMul(globalValue.Transpose(1, 2)).Transpose(1, 2);
            return (local + global).Slice(1, 0, part.Length);
        });

    private static DType SoftmaxType(Tensor query) => query.DType == DType.Float64 ? DType.Float64 : DType.Float32;

    /// <summary>Runs all sequences at once where they have one length, else one by one.</summary>
    private static Tensor BySequence(Tensor query, Tensor key, Tensor value, SequenceBatch batch, Func<Part, Tensor> attention)
    {
        using var scope = new TensorScope();
        Tensor scaled = query * (1 / Math.Sqrt(query.Shape[2]));
        long first = batch.Offsets[1];
        bool uniform = Enumerable.Range(0, batch.SequenceCount).All(s => batch.Offsets[s + 1] - batch.Offsets[s] == first);
        var outputs = new List<Tensor>();
        for (int s = 0; s < (uniform ? 1 : batch.SequenceCount); s++)
        {
            using var inner = new TensorScope();
            int count = uniform ? batch.SequenceCount : 1;
            (long from, long length) = (batch.Offsets[s], batch.Offsets[s + 1] - batch.Offsets[s]);
            long[] shape = [count, length, query.Shape[1], query.Shape[2]];
            var part = new Part(
                scaled.Narrow(0, from, count * length).View(shape), key.Narrow(0, from, count * length).View(shape),
                value.Narrow(0, from, count * length).View(shape),
                batch.Visible?.Narrow(0, from, count * length).View(count, length).To(DType.Bool),
                batch.Globals?.Index.Narrow(0, s, count));
            outputs.Add(inner.Keep(attention(part).Reshape(count * length, query.Shape[1], query.Shape[2])));
        }
        return scope.Keep(outputs.Count == 1 ? outputs[0] : Tensor.Cat([.. outputs], 0));
    }

    /// <summary>Sequences of one length: query (scaled), key, value [B, T, H, D], visible bool [B, T], globals int64 [B, G] ending in -1.</summary>
    private sealed record Part(Tensor Query, Tensor Key, Tensor Value, Tensor? Visible, Tensor? Globals)
    {
        public long Batch => Query.Shape[0];

        public long Length => Query.Shape[1];

        /// <summary>[B, length, 1, 1]: 1 at padding, at global tokens and behind the sequence.</summary>
        public Tensor Removed(long length, DType dtype)
        {
            Tensor removed = Visible is null ? Tensor.Zeros([Batch, Length], DType.Bool, Query.Device) : Visible.Not();
            if (Globals is not null)
                // An empty slot marks one more column, which is cut off.
                removed = Tensor.Cat([removed, Tensor.Zeros([Batch, 1], DType.Bool, Query.Device)], 1)
                    .Scatter(1, Globals.MaskedFill(Globals.Lt(0), Length), true).Slice(1, 0, Length);
            if (length > Length)
                removed = Tensor.Cat([removed, Tensor.Ones([Batch, length - Length], DType.Bool, Query.Device)], 1);
            return removed.To(dtype).View(Batch, length, 1, 1);
        }

        /// <summary>bool [B, length, 1, 1]: padding and what is behind the sequence.</summary>
        public Tensor Invisible(long length)
        {
            Tensor invisible = Visible is null ? Tensor.Zeros([Batch, Length], DType.Bool, Query.Device) : Visible.Not();
            if (length > Length)
                invisible = Tensor.Cat([invisible, Tensor.Ones([Batch, length - Length], DType.Bool, Query.Device)], 1);
            return invisible.View(Batch, length, 1, 1);
        }

        /// <summary>Scores [B, T, H, G] of the queries against the global keys, hidden in empty slots, and the global values [B, G, H, D].</summary>
        public (Tensor Scores, Tensor Values) GlobalColumns(Tensor query, DType dtype, double hidden)
        {
            Tensor empty = Globals!.Lt(0);
            long slots = Globals.Shape[1];
            Tensor index = Globals.MaskedFill(empty, 0).View(Batch, slots, 1, 1).Expand(Batch, slots, Key.Shape[2], Key.Shape[3]);
            Tensor keys = Key.Gather(1, index);
            Tensor scores = query.Transpose(1, 2).MatMul(keys.Transpose(1, 2).Transpose(-1, -2)).Transpose(1, 2).To(dtype);
            return (scores.MaskedFill(empty.View(Batch, 1, 1, slots), hidden), Value.Gather(1, index));
        }
    }
}
