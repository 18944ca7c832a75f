using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// allenai's two other attention modes: <c>n2</c>, the ordinary full attention that a Longformer is compared with, and
/// <c>sliding_chunks_no_overlap</c>. Both are for fidelity to checkpoints that were made with them.
/// </summary>
internal static class AllenaiAttention
{
    /// <summary>
    /// Full attention [N, H, D] over the visible keys of each sequence. Rows of padding are not zeroed: that is RoBERTa's attention.
    /// </summary>
    public static Tensor Full(Tensor query, Tensor key, Tensor value, SequenceBatch batch, Dropout dropout, int layer)
    {
        using TensorScope scope = new();
        Tensor? hidden = batch.Visible?.Eq(0);
        long first = batch.Offsets[1];
        // Sequences of one length at once, others one by one.
        bool uniform = Enumerable.Range(0, batch.SequenceCount).All(s => batch.Offsets[s + 1] - batch.Offsets[s] == first);
        DenseAttentionPart Part(int s)
        {
            (long count, long from, long length) = (uniform ? batch.SequenceCount : 1, batch.Offsets[s], batch.Offsets[s + 1] - batch.Offsets[s]);
            return new(count, from, length, from, length, hidden?.Narrow(0, from, count * length).View(count, 1, 1, length),
                dropout.SeedAt(layer, 0));
        }
        return scope.Keep(Differentiable.DenseAttention(query, key, value, new DenseAttentionOptions
        {
            Parts = [.. Enumerable.Range(0, uniform ? 1 : batch.SequenceCount).Select(Part)],
            Scale = 1 / Math.Sqrt(query.Size(2)),
            Dropout = dropout.AttentionProbability,
        }));
    }

    /// <summary>
    /// <c>sliding_chunks_no_overlap</c> [N, C]: blocks of <paramref name="window"/> tokens see the block before, their own, the one after and the
    /// global tokens. At the two ends some zero keys of score 0 stay in the softmax, as in the reference. Rows of padding are zeros.
    /// </summary>
    public static Tensor NoOverlap(Tensor query, Tensor key, Tensor value, SequenceBatch batch, int window, Dropout dropout, int layer)
    {
        using TensorScope scope = new();
        Blocks blocks = Blocks.Of(batch, window, query.Device);
        (long heads, long size, long keys) = (query.Size(1), query.Size(2), blocks.Hidden.Size(-1));
        Tensor Rows(Tensor tokens, Tensor index, Tensor? empty)
        {
            Tensor rows = Differentiable.SelectRows(Differentiable.Reshape(tokens, tokens.Size(0), heads * size), index, empty: empty);
            return Differentiable.Reshape(rows, rows.Size(0), heads, size);
        }
        Tensor context = Differentiable.DenseAttention(
            Rows(query, blocks.QueryRows, null), Rows(key, blocks.KeyRows, blocks.ZeroKeys), Rows(value, blocks.KeyRows, blocks.ZeroKeys),
            new DenseAttentionOptions
            {
                Parts = [new(blocks.Count, 0, window, 0, keys, blocks.Hidden, dropout.SeedAt(layer, 0))],
                Scale = 1 / Math.Sqrt(size),
                Dropout = dropout.AttentionProbability,
            });
        return scope.Keep(Differentiable.SelectRows(
            Differentiable.Reshape(context, blocks.Count * window, heads * size), blocks.TokenRows, empty: batch.Visible?.Eq(0)));
    }

    /// <summary>The blocks of W tokens of all sequences, a sequence extended to whole ones, with the G + 3W keys of each.</summary>
    /// <param name="Count">How many blocks there are.</param>
    /// <param name="QueryRows">Int64 [blocks * W]: the row in N of every query; any row behind the end of a sequence.</param>
    /// <param name="KeyRows">Int64 [blocks * (G + 3W)]: the row in N of every key.</param>
    /// <param name="ZeroKeys">Bool, like these, true for keys outside the sequence, which are zeros.</param>
    /// <param name="Hidden">Bool [blocks, 1, W, G + 3W], true where a key is hidden from a query.</param>
    /// <param name="TokenRows">Int64 [N]: the row in blocks * W of every token.</param>
    private sealed record Blocks(long Count, Tensor QueryRows, Tensor KeyRows, Tensor ZeroKeys, Tensor Hidden, Tensor TokenRows)
    {
        public static Blocks Of(SequenceBatch batch, int window, Device device)
        {
            List<long> queries = [], keys = [], sequences = [], tokens = [];
            List<byte> outside = [], behind = [], first = [], last = [];
            for (int s = 0; s < batch.SequenceCount; s++)
            {
                (long from, long length) = (batch.Offsets[s], batch.Offsets[s + 1] - batch.Offsets[s]);
                long count = (length + window - 1) / window;
                tokens.AddRange(Enumerable.Range(0, (int)length).Select(i => queries.Count + (long)i));
                for (long block = 0; block < count; block++)
                {
                    sequences.Add(s);
                    first.Add(block == 0 ? (byte)1 : (byte)0);
                    last.Add(block == count - 1 ? (byte)1 : (byte)0);
                    for (long at = (block - 1) * window; at < (block + 2) * window; at++)
                    {
                        long row = at >= 0 && at < length ? from + at : from;
                        if (at >= block * window && at < (block + 1) * window)
                            queries.Add(row);
                        keys.Add(row);
                        outside.Add(at < 0 || at >= length ? (byte)1 : (byte)0);
                        // Positions behind the end but inside the last block count as padding; positions outside all blocks do not.
                        behind.Add(at >= length && at < count * window ? (byte)1 : (byte)0);
                    }
                }
            }
            long blocks = sequences.Count, width = 3L * window;
            Tensor Flags(List<byte> values, params ReadOnlySpan<long> shape) => Tensor.From<byte>(values.ToArray(), shape).To(device).To(DType.Bool);
            Tensor rows = HostBuffer.Upload(keys.ToArray(), device), zeros = Flags(outside, blocks, width);
            Tensor removed = Removed(batch, device).IndexSelect(0, rows).View(blocks, width).And(zeros.Not()).Or(Flags(behind, blocks, width));
            // At both ends, columns that no key of the sequence can have.
            Tensor place = Tensor.Arange(window, device).View(window, 1) + Tensor.Arange(width, device);
            Tensor hidden = removed.View(blocks, 1, 1, width).Or(Flags(first, blocks, 1, 1, 1).And(place.Lt(window)))
                .Or(Flags(last, blocks, 1, 1, 1).And(place.Gt(width - 2)));
            Tensor keyRows = rows.View(blocks, width);
            if (batch.Globals is { } globals)
            {
                Tensor owner = HostBuffer.Upload(sequences.ToArray(), device);
                Tensor ByBlock(Tensor slots) => slots.View(-1, globals.PerSequence).IndexSelect(0, owner);
                Tensor empty = ByBlock(globals.Index.Lt(0));
                keyRows = Tensor.Cat([ByBlock(globals.SlotRows), keyRows], 1);
                hidden = Tensor.Cat([empty.View(blocks, 1, 1, -1).Expand(blocks, 1, window, -1), hidden], 3);
                zeros = Tensor.Cat([empty.ZerosLike(), zeros], 1);
            }
            return new Blocks(blocks, HostBuffer.Upload(queries.ToArray(), device), keyRows.Reshape(-1), zeros.Reshape(-1), hidden,
                HostBuffer.Upload(tokens.ToArray(), device));
        }

        /// <summary>Bool [N], true for keys that are not in the window: padding, and global tokens, which have their own columns.</summary>
        private static Tensor Removed(SequenceBatch batch, Device device)
        {
            Tensor removed = batch.Visible?.Eq(0) ?? Tensor.Zeros([batch.TokenCount], DType.Bool, device);
            return batch.Globals is null ? removed : removed.IndexFill(0, batch.Globals.Rows, 1);
        }
    }
}
