using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>What <see cref="LongformerOps.DenseAttention"/> is given besides its tensors.</summary>
/// <param name="QueryOffsets">Where each sequence of queries begins, and their number N.</param>
/// <param name="KeyOffsets">Where each sequence of keys begins, and their number M; as many.</param>
/// <param name="Scale">Multiplies the scores.</param>
/// <param name="Mask">Bool [M], true where a key is visible; null: all are.</param>
/// <param name="Dropout">Probability of dropping an attention probability.</param>
/// <param name="Seed">Of the dropout.</param>
public sealed record DenseSequences(long[] QueryOffsets, long[] KeyOffsets, double Scale, Tensor? Mask = null, double Dropout = 0, long Seed = 0);

// Attention to every key of a sequence.
public static partial class LongformerOps
{
    private static readonly OwnOperator DenseOp = new("_dense_attention"), DenseBackwardOp = new("_dense_attention_backward");

    /// <summary>Queries of several sequences, each over all visible keys of its sequence. Probabilities never lie in memory. On the CPU
    /// only.</summary>
    /// <param name="query">[N, H, D].</param>
    /// <param name="key">[M, H, D].</param>
    /// <param name="value">As the key.</param>
    /// <param name="sequences">The sequences.</param>
    /// <returns>The output, shaped as the query, and the logarithm of the sum of the exponentials [N, H]. A query that sees nothing gives
    /// zeros.</returns>
    public static (Tensor Output, Tensor LogSumExp) DenseAttention(Tensor query, Tensor key, Tensor value, DenseSequences sequences)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        return DenseOp.Call2(query, key, value, sequences.Mask, sequences.QueryOffsets, sequences.KeyOffsets, sequences.Scale, sequences.Dropout,
            sequences.Seed);
    }

    /// <summary>The gradients of <see cref="DenseAttention"/>; zeros of keys that nobody sees.</summary>
    /// <param name="gradient">Of the output, shaped as it.</param>
    /// <param name="query">As given to the forward operator.</param>
    /// <param name="key">As given to the forward operator.</param>
    /// <param name="value">As given to the forward operator.</param>
    /// <param name="output">The forward operator's output.</param>
    /// <param name="logSumExp">The forward operator's second result.</param>
    /// <param name="sequences">As given to the forward operator.</param>
    public static (Tensor Query, Tensor Key, Tensor Value) DenseAttentionBackward(Tensor gradient, Tensor query, Tensor key, Tensor value,
        Tensor output, Tensor logSumExp, DenseSequences sequences)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        return DenseBackwardOp.Call3(gradient, query, key, value, output, logSumExp, sequences.Mask, sequences.QueryOffsets, sequences.KeyOffsets,
            sequences.Scale, sequences.Dropout, sequences.Seed);
    }
}
