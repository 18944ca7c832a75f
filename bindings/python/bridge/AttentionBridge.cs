using LongformerInterop.Torch;

namespace LongformerInterop.PythonNet;

/// <summary>The attention operators in terms that pythonnet can pass.</summary>
public static class AttentionBridge
{
#pragma warning disable CA1707 // Python passes the options by its names
    /// <summary>The options of the window attention. Parameters are named as the fields of Python's <c>AttentionOptions</c>.</summary>
    public static BandedAttentionOptions Options(long[] window, long[]? dilation = null, Tensor? global_index = null, Tensor? mask = null,
        long[]? sequence_offsets = null, double? scale = null, double dropout = 0, long seed = 0, string implementation = "fused")
    {
        ArgumentNullException.ThrowIfNull(window);
        return new BandedAttentionOptions
        {
            WindowLeft = window[0],
            WindowRight = window[1],
            Dilation = dilation,
            GlobalIndex = global_index,
            Mask = mask,
            SequenceOffsets = sequence_offsets,
            Scale = scale,
            Dropout = dropout,
            Seed = seed,
            Implementation = Enum.TryParse(implementation, ignoreCase: true, out AttentionImplementation parsed) && Enum.IsDefined(parsed) ? parsed
                : throw new InputException($"implementation: expected fused, chunks or loop, given \"{implementation}\""),
        };
    }
#pragma warning restore CA1707

    /// <summary>Banded attention: output and log-sum-exp. All tensors are disposed, those of the options too.</summary>
    public static Tensor[] Banded(Tensor query, Tensor key, Tensor value, BandedAttentionOptions options) =>
        Disposing(options, [query, key, value], () =>
        {
            (Tensor output, Tensor logSumExp) = LongformerOps.BandedAttention(query, key, value, options);
            return new[] { output.Keep(), logSumExp.Keep() };
        });

    /// <summary>Banded attention with relative positions: output and log-sum-exp. All tensors are disposed, those of the options too.</summary>
    public static Tensor[] Relative(Tensor query, Tensor key, Tensor value, Tensor relative, Tensor? contentBias, Tensor? positionBias,
        long relativeZero, BandedAttentionOptions options) =>
        Disposing(options, [query, key, value, relative, contentBias, positionBias], () =>
        {
            (Tensor output, Tensor logSumExp) = LongformerOps.RelativeBandedAttention(query, key, value,
                new RelativePositions(relative, contentBias, positionBias, relativeZero), options);
            return new[] { output.Keep(), logSumExp.Keep() };
        });

    /// <summary>The probabilities of banded attention. All tensors are disposed, those of the options too.</summary>
    public static Tensor Probabilities(Tensor query, Tensor key, BandedAttentionOptions options) =>
        Disposing(options, [query, key], () => LongformerOps.BandedAttentionProbabilities(query, key, options).Keep());

    /// <summary>The attention of the global tokens. All tensors are disposed, those of the options too; of these the window is not looked
    /// at.</summary>
    public static Tensor Global(Tensor query, Tensor key, Tensor value, Tensor globalIndex, BandedAttentionOptions options) =>
        Disposing(options, [query, key, value, globalIndex],
            () => LongformerOps.GlobalAttention(query, key, value, globalIndex, new GlobalAttentionOptions
        {
            Mask = options.Mask,
            SequenceOffsets = options.SequenceOffsets,
            Scale = options.Scale,
            Dropout = options.Dropout,
            Seed = options.Seed,
        }).Keep());

    private static T Disposing<T>(BandedAttentionOptions options, Tensor?[] inputs, Func<T> call)
    {
        ArgumentNullException.ThrowIfNull(options);
        try
        {
            using TensorScope scope = new();
            return call();
        }
        finally
        {
            foreach (Tensor? input in inputs)
                input?.Dispose();
            options.Mask?.Dispose();
            options.GlobalIndex?.Dispose();
        }
    }
}
