using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// Attention with relative positions.
public static partial class Differentiable
{
    /// <summary>
    /// Windowed and dilated attention with relative positions, as <see cref="LongformerOps.RelativeBandedAttention"/>; differentiable in query,
    /// key, value, the table and both biases.
    /// </summary>
    /// <param name="query">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="key">As the query.</param>
    /// <param name="value">As the query.</param>
    /// <param name="relative">The distances.</param>
    /// <param name="options">The keys that each query sees.</param>
    /// <returns>As the query.</returns>
    public static Tensor RelativeBandedAttention(Tensor query, Tensor key, Tensor value, RelativePositions relative, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(relative);
        ArgumentNullException.ThrowIfNull(options);
        (Tensor output, Tensor logSumExp) = LongformerOps.RelativeBandedAttention(query, key, value, relative, options);
        Tensor?[] inputs = [query, key, value, relative.Table, relative.ContentBias, relative.PositionBias];
        if (Recording(out GradientTape tape, inputs))
        {
            GradientSum?[] into = Array.ConvertAll(inputs, tape.Find);
            tape.Record(output, [.. inputs, output, logSumExp, options.Mask], (gradient, saved) =>
            {
                RelativeAttentionGradients of = LongformerOps.RelativeBandedAttentionBackward(gradient.Tensor, saved[0], saved[1], saved[2],
                    relative with { Table = saved[3], ContentBias = saved[4], PositionBias = saved[5] }, saved[6], saved[7],
                    options with { Mask = saved[8] });
                Tensor[] gradients = [of.Query, of.Key, of.Value, of.Table, of.ContentBias, of.PositionBias];
                for (int i = 0; i < into.Length; i++)
                    into[i]?.Add(gradients[i]);
            });
        }
        logSumExp.Dispose();
        return output;
    }
}
