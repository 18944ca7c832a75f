using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The raw window products of allenai's <c>sliding_chunks.py</c> and <c>diagonaled_mm_tvm.py</c> in plain tensor operations. The models run on
/// <c>longformer::banded_attention</c>; these products help to port code from the reference. Nothing is recorded for
/// a gradient. Everything is [B, T, H, ...]; a window of one-sided size W has 2W + 1 columns, column j of row i being the key i + d(j - W).
/// </summary>
public static class WindowProducts
{
    /// <summary>
    /// <c>sliding_chunks_matmul_qk</c>: scores [B, T, H, 2W + 1] = q[i] . k[i + j - W] of q, k [B, T, H, D], -inf outside the sequence. No
    /// scaling. Unlike the reference it takes any T: blocks of W queries meet 3W keys, and the diagonals of each [W, 3W] product become columns.
    /// </summary>
    public static Tensor SlidingChunksScores(Tensor query, Tensor key, int window)
    {
        (long batch, long length, long heads, long size) = Sizes(query, nameof(query), window);
        CheckSame(query, key, nameof(key));
        using TensorScope scope = new();
        long blocks = Blocks(length, window);
        Tensor q = PadTokens(query, 0, (blocks * window) - length).Reshape(batch, blocks, window, heads, size).Permute(0, 1, 3, 2, 4);
        Tensor k = Neighborhoods(key, window, blocks);                          // [B, blocks, H, D, 3W]
        Tensor product = q.MatMul(k).Contiguous();                              // [B, blocks, H, W, 3W]
        Tensor columns = Diagonals(product, window)                             // [B, blocks, H, W, 2W + 1]
            .Permute(0, 1, 3, 2, 4).Reshape(batch, blocks * window, heads, (2 * window) + 1)
            .Slice(1, 0, length);
        return scope.Keep(MaskInvalidLocations(columns, window, [1], autoregressive: false));
    }

    /// <summary>
    /// <c>sliding_chunks_matmul_pv</c>: context [B, T, H, D] = sum over j of p[i, j] v[i + j - W], of probabilities [B, T, H, 2W + 1] (zero
    /// outside the sequence) and values [B, T, H, D]; any T.
    /// </summary>
    public static Tensor SlidingChunksContext(Tensor probabilities, Tensor value, int window)
    {
        (long batch, long length, long heads, long size) = Sizes(value, nameof(value), window);
        CheckColumns(probabilities, (2 * window) + 1, value);
        using TensorScope scope = new();
        long blocks = Blocks(length, window);
        Tensor columns = PadTokens(probabilities, 0, (blocks * window) - length)
            .Reshape(batch, blocks, window, heads, (2 * window) + 1).Permute(0, 1, 3, 2, 4);
        Tensor p = Skew(columns, window);                                       // [B, blocks, H, W, 3W]
        Tensor v = Neighborhoods(value, window, blocks).Transpose(-1, -2);      // [B, blocks, H, 3W, D]
        Tensor context = p.MatMul(v).Permute(0, 1, 3, 2, 4).Reshape(batch, blocks * window, heads, size).Slice(1, 0, length);
        return scope.Keep(context.Contiguous());
    }

    /// <summary>
    /// The window of the TVM kernel in its column form: scores [B, T, H, left + right + 1] = q[i] . k[i + d(j - left)], 0 outside the
    /// sequence. One pass over the keys per column: linear memory, meant for looking at, not for speed.
    /// </summary>
    /// <param name="query">[B, T, H, D].</param>
    /// <param name="key">[B, T, H, D].</param>
    /// <param name="left">Keys to the left.</param>
    /// <param name="right">Keys to the right.</param>
    /// <param name="dilation">One value, or one per head.</param>
    public static Tensor DilatedScores(Tensor query, Tensor key, int left, int right, ReadOnlySpan<int> dilation)
    {
        (_, long length, long heads, _) = Sizes(query, nameof(query), Math.Max(1, left));
        CheckSame(query, key, nameof(key));
        using TensorScope scope = new();
        List<Tensor> perHead = new();
        foreach ((long head, long count, int step) in HeadGroups(dilation, heads))
        {
            Tensor q = query.Narrow(2, head, count);
            Tensor k = PadTokens(key.Narrow(2, head, count), (long)left * step, (long)right * step);
            Tensor[] columns = new Tensor[left + right + 1];
            for (int j = 0; j < columns.Length; j++)
            {
                using TensorScope column = new();
                columns[j] = column.Keep((q * k.Narrow(1, (long)j * step, length)).Sum(-1));
            }
            perHead.Add(Tensor.Stack(columns, -1));
        }
        return scope.Keep(perHead.Count == 1 ? perHead[0] : Tensor.Cat([.. perHead], 2));
    }

    /// <summary>The values of <see cref="DilatedScores"/>: context [B, T, H, D] = sum over j of p[i, j] v[i + d(j - left)].</summary>
    public static Tensor DilatedContext(Tensor probabilities, Tensor value, int left, int right, ReadOnlySpan<int> dilation)
    {
        (_, long length, long heads, _) = Sizes(value, nameof(value), Math.Max(1, left));
        CheckColumns(probabilities, left + right + 1, value);
        using TensorScope scope = new();
        List<Tensor> perHead = new();
        foreach ((long head, long count, int step) in HeadGroups(dilation, heads))
        {
            Tensor p = probabilities.Narrow(2, head, count);
            Tensor v = PadTokens(value.Narrow(2, head, count), (long)left * step, (long)right * step);
            Tensor? sum = null;
            for (int j = 0; j < left + right + 1; j++)
            {
                using TensorScope column = new();
                Tensor term = p.Narrow(3, j, 1) * v.Narrow(1, (long)j * step, length);
                sum = column.Keep(sum is null ? term : sum + term);
            }
            perHead.Add(sum!);
        }
        return scope.Keep(perHead.Count == 1 ? perHead[0] : Tensor.Cat([.. perHead], 2));
    }

    /// <summary>
    /// <c>sliding_chunks_no_overlap_matmul_qk</c>: blocks of W queries against the block before, their own and the block after: scores
    /// [B, T, H, 3W]. The missing blocks at both ends are zero keys of score 0. T must be a multiple of W.
    /// </summary>
    public static Tensor NoOverlapScores(Tensor query, Tensor key, int window)
    {
        (long batch, long length, long heads, long size) = Sizes(query, nameof(query), window, multiple: true);
        CheckSame(query, key, nameof(key));
        using TensorScope scope = new();
        long blocks = length / window;
        Tensor q = query.Reshape(batch, blocks, window, heads, size).Permute(0, 1, 3, 2, 4);
        Tensor k = Neighborhoods(key, window, blocks);                          // [B, blocks, H, D, 3W]
        return scope.Keep(q.MatMul(k).Permute(0, 1, 3, 2, 4).Reshape(batch, length, heads, 3 * window).Contiguous());
    }

    /// <summary><c>sliding_chunks_no_overlap_matmul_pv</c>: context [B, T, H, D] of probabilities [B, T, H, 3W] and values [B, T, H, D].</summary>
    public static Tensor NoOverlapContext(Tensor probabilities, Tensor value, int window)
    {
        (long batch, long length, long heads, long size) = Sizes(value, nameof(value), window, multiple: true);
        CheckColumns(probabilities, 3 * window, value);
        using TensorScope scope = new();
        long blocks = length / window;
        Tensor p = probabilities.Reshape(batch, blocks, window, heads, 3 * window).Permute(0, 1, 3, 2, 4);
        Tensor v = Neighborhoods(value, window, blocks).Transpose(-1, -2);      // [B, blocks, H, 3W, D]
        return scope.Keep(p.MatMul(v).Permute(0, 1, 3, 2, 4).Reshape(batch, length, heads, size).Contiguous());
    }

    /// <summary>
    /// <c>mask_invalid_locations</c>: a copy of scores [B, T, H, columns] with -inf in the columns of keys before the first token and (unless
    /// autoregressive) behind the last. With more than 2W + 1 columns (the blocks without overlap) it hides only the triangles in the outer
    /// W columns, as the reference does.
    /// </summary>
    public static Tensor MaskInvalidLocations(Tensor scores, int window, ReadOnlySpan<int> dilation, bool autoregressive)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (scores.Rank != 4 || scores.Shape[3] <= window)
            throw new InputException("scores", $"shape [batch, length, heads, more than {window} columns]", $"{InputReader.Show(scores.Shape)}");
        using TensorScope scope = new();
        (long length, long columns) = (scores.Shape[1], scores.Shape[3]);
        byte[] invalid = new byte[length * dilation.Length * columns];
        for (int h = 0; h < dilation.Length; h++)
        {
            for (long c = 0; c <= window; c++)
            {
                for (long i = 0; i < Math.Min(length, dilation[h] * (window - c)); i++)
                {
                    invalid[(((i * dilation.Length) + h) * columns) + c] = 1;
                    if (!autoregressive)
                        invalid[((((length - 1 - i) * dilation.Length) + h) * columns) + columns - 1 - c] = 1;
                }
            }
        }
        Tensor mask = Tensor.From<byte>(invalid, length, dilation.Length, columns).To(scores.Device).To(DType.Bool);
        return scope.Keep(scores.MaskedFill(mask, double.NegativeInfinity));
    }

    /// <summary><c>pad_to_window_size</c>: ids and mask [B, T] padded on the right to a multiple of 2W, the mask with 0.</summary>
    public static (Tensor Ids, Tensor Mask) PadToWindowSize(Tensor ids, Tensor mask, int window, long paddingId)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(mask);
        if (ids.Rank != 2 || !ids.Shape.SequenceEqual(mask.Shape))
        {
            throw new InputException("ids, mask", "two tensors of one shape [batch, length]",
                $"{InputReader.Show(ids.Shape)} and {InputReader.Show(mask.Shape)}");
        }
        using TensorScope scope = new();
        long block = 2L * window;
        long[] padding = [ids.Shape[0], (block - (ids.Shape[1] % block)) % block];
        Tensor paddedIds = Tensor.Cat([ids, Tensor.Full(padding, paddingId, ids.DType, ids.Device)], 1);
        Tensor paddedMask = Tensor.Cat([mask, Tensor.Zeros(padding, mask.DType, mask.Device)], 1);
        return (scope.Keep(paddedIds), scope.Keep(paddedMask));
    }

    /// <summary>[B, T, H, X] with zeros added before and after its tokens.</summary>
    private static Tensor PadTokens(Tensor tokens, long before, long after)
    {
        if (before == 0 && after == 0)
            return tokens;
        return tokens.Pad([0, 0, 0, 0, before, after], 0);
    }

    /// <summary>For every block of W tokens the 3W tokens around it, zeros outside: a view [B, blocks, H, D, 3W] of the padded tensor.</summary>
    private static Tensor Neighborhoods(Tensor tokens, int window, long blocks)
    {
        Tensor padded = PadTokens(tokens, window, ((blocks + 1) * window) - tokens.Shape[1]);
        return padded.Unfold(1, 3L * window, window);
    }

    private static long Blocks(long length, int window) => (length + window - 1) / window;

    /// <summary>Column form of the diagonals of contiguous [..., W, 3W]: row i of the view begins at its column i. A view [..., W, 2W + 1].</summary>
    private static Tensor Diagonals(Tensor product, int window)
    {
        long[] shape = [.. product.Shape];
        long[] strides = [.. product.Strides];
        shape[^1] = (2L * window) + 1;
        strides[^2] += strides[^1];
        return product.AsStrided(shape, strides);
    }

    /// <summary>The inverse of <see cref="Diagonals"/>: columns [..., W, 2W + 1] shifted to [..., W, 3W], zeros elsewhere.</summary>
    private static Tensor Skew(Tensor columns, int window)
    {
        // Rows of 2W + 1 values, each followed by W zeros, read in rows of 3W: every row then begins one place further right.
        long[] lead = [.. columns.Shape[..^2]];
        Tensor zeros = Tensor.Zeros([.. lead, window, window], columns.DType, columns.Device);
        Tensor flat = Tensor.Cat([columns, zeros], -1).Reshape([.. lead, window * ((3L * window) + 1)]);
        return flat.Slice(-1, 0, 3L * window * window).Reshape([.. lead, window, 3L * window]);
    }

    private static IEnumerable<(long Head, long Count, int Dilation)> HeadGroups(ReadOnlySpan<int> dilation, long heads)
    {
        if (dilation.Length == 1)
            return [(0, heads, dilation[0])];
        if (dilation.Length != heads)
            throw new InputException("dilation", $"one value or one per head ({heads})", $"{dilation.Length}");
        return [.. dilation.ToArray().Select((step, head) => ((long)head, 1L, step))];
    }

    private static (long Batch, long Length, long Heads, long Size) Sizes(Tensor tensor, string name, int window, bool multiple = false)
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (window < 1)
            throw new InputException("window", "at least 1", $"{window}");
        if (tensor.Rank != 4)
            throw new InputException(name, "shape [batch, length, heads, size]", $"{InputReader.Show(tensor.Shape)}");
        if (multiple && tensor.Shape[1] % window != 0)
            throw new InputException(name, $"a length that is a multiple of the block {window}", $"{tensor.Shape[1]}");
        return (tensor.Shape[0], tensor.Shape[1], tensor.Shape[2], tensor.Shape[3]);
    }

    private static void CheckSame(Tensor query, Tensor key, string name)
    {
        ArgumentNullException.ThrowIfNull(key, name);
        if (!query.Shape.SequenceEqual(key.Shape))
            throw new InputException(name, $"the query's shape {InputReader.Show(query.Shape)}", $"{InputReader.Show(key.Shape)}");
    }

    private static void CheckColumns(Tensor probabilities, long columns, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(probabilities);
        long[] expected = [.. value.Shape[..3], columns];
        if (!probabilities.Shape.SequenceEqual(expected))
            throw new InputException("probabilities", $"shape {InputReader.Show(expected)}", $"{InputReader.Show(probabilities.Shape)}");
    }
}
