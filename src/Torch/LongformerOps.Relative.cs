using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>
/// Relative positions of Transformer-XL in <see cref="LongformerOps.RelativeBandedAttention"/>: the score of query i and key j of a sequence is
/// scale * ((query_i + <see cref="ContentBias"/>) . key_j + (query_i + <see cref="PositionBias"/>) . table[<see cref="Zero"/> + i - j]), with
/// i and j counted in tokens whatever the dilation.
/// </summary>
/// <param name="Table">[P, H, D]: a row for every distance in tokens that a window reaches inside a sequence.</param>
/// <param name="ContentBias">[H, D] (<c>r_w_bias</c>), or null for zeros.</param>
/// <param name="PositionBias">[H, D] (<c>r_r_bias</c>), or null for zeros.</param>
/// <param name="Zero">The row of distance 0; 0 where every key is at or before its query.</param>
public sealed record RelativePositions(Tensor Table, Tensor? ContentBias = null, Tensor? PositionBias = null, long Zero = 0);

/// <summary>The results of <see cref="LongformerOps.RelativeBandedAttentionBackward"/>, each of its tensor's shape.</summary>
/// <param name="Query">As the query.</param>
/// <param name="Key">As the query.</param>
/// <param name="Value">As the query.</param>
/// <param name="Table">[P, H, D].</param>
/// <param name="ContentBias">[H, D], also where no bias was given.</param>
/// <param name="PositionBias">[H, D], also where no bias was given.</param>
public readonly record struct RelativeAttentionGradients(Tensor Query, Tensor Key, Tensor Value, Tensor Table, Tensor ContentBias,
    Tensor PositionBias);

// Banded attention with relative positions.
public static partial class LongformerOps
{
    private static readonly OwnOperator RelativeOp = new("relative_banded_attention"), RelativeBackwardOp = new("relative_banded_attention_backward");

    /// <summary>Windowed and dilated attention whose scores know the distance of a key from its query. No global positions.</summary>
    /// <param name="query">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="key">As the query.</param>
    /// <param name="value">As the query.</param>
    /// <param name="relative">The distances.</param>
    /// <param name="options">What each query sees; its global index must be null.</param>
    /// <returns>As <see cref="BandedAttention"/>.</returns>
    public static (Tensor Output, Tensor LogSumExp) RelativeBandedAttention(Tensor query, Tensor key, Tensor value, RelativePositions relative,
        BandedAttentionOptions options)
    {
        Check(relative, options);
        return RelativeOp.Call2(query, key, value, relative.Table, relative.ContentBias, relative.PositionBias, relative.Zero, options.WindowLeft,
            options.WindowRight, options.Dilation, options.Mask, options.SequenceOffsets, options.Scale, options.Dropout, options.Seed,
            NameOf(options.Implementation));
    }

    /// <summary>The gradients of <see cref="RelativeBandedAttention"/>.</summary>
    /// <param name="gradient">Of the output, shaped as it.</param>
    /// <param name="query">As given to the forward operator.</param>
    /// <param name="key">As given to the forward operator.</param>
    /// <param name="value">As given to the forward operator.</param>
    /// <param name="relative">As given to the forward operator.</param>
    /// <param name="output">The forward operator's output.</param>
    /// <param name="logSumExp">The forward operator's second result.</param>
    /// <param name="options">As given to the forward operator.</param>
    public static RelativeAttentionGradients RelativeBandedAttentionBackward(Tensor gradient, Tensor query, Tensor key, Tensor value,
        RelativePositions relative, Tensor output, Tensor logSumExp, BandedAttentionOptions options)
    {
        Check(relative, options);
        Tensor?[] r = new Tensor?[6];
        RelativeBackwardOp.CallInto(r, gradient, query, key, value, relative.Table, relative.ContentBias, relative.PositionBias, output, logSumExp,
            relative.Zero, options.WindowLeft, options.WindowRight, options.Dilation, options.Mask, options.SequenceOffsets, options.Scale,
            options.Dropout, options.Seed, NameOf(options.Implementation));
        return new(r[0]!, r[1]!, r[2]!, r[3]!, r[4]!, r[5]!);
    }

    private static void Check(RelativePositions relative, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(relative);
        ArgumentNullException.ThrowIfNull(options);
        if (options.GlobalIndex is not null)
            throw new InputException("GlobalIndex", "null: relative positions and global positions do not go together", "a tensor");
    }
}
