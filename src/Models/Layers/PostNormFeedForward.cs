using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The part of a layer of either encoder behind the attention: the output projection, then two feed-forward products, each of both added
/// to its input and normalized. Rows do not depend on each other, so that in evaluation a CPU takes a block of them through all of it
/// before the next (<see cref="LongformerOps.FeedForward"/>): the intermediate states, four times as wide as the others, exist for one
/// block only and stay in the cache. A GPU has no such cache and is busy with many rows only: there all rows pass at once.
/// </summary>
internal sealed class PostNormFeedForward
{
    private readonly Linear _attentionOutput, _inner, _output;
    private readonly LayerNorm _attentionNorm, _outputNorm;
    private readonly HiddenActivation _activation;

    public PostNormFeedForward(Linear attentionOutput, LayerNorm attentionNorm, Linear inner, Linear output, LayerNorm outputNorm,
        HiddenActivation activation)
    {
        _attentionOutput = attentionOutput;
        _attentionNorm = attentionNorm;
        _inner = inner;
        _output = output;
        _outputNorm = outputNorm;
        _activation = activation;
    }

    /// <summary>The layer's output [N, C]; where no gradient is recorded and nothing is dropped, it takes the place of a context of its type and is
    /// the same tensor.</summary>
    /// <param name="context">[N, C] what the attention gathered; nothing else may need it afterwards.</param>
    /// <param name="hidden">[N, C] the layer's input.</param>
    /// <param name="dropout">The dropouts of a training pass; null in evaluation.</param>
    public Tensor Forward(Tensor context, Tensor hidden, FeedForwardDropout? dropout)
    {
        using TensorScope scope = new();
        if (dropout is not null || hidden.Device != Device.Cpu || IsRecorded(context, hidden))
        {
            Tensor projected = _attentionOutput.Forward(context);
            Tensor attended = dropout is null ? _attentionNorm.ForwardOver(projected, hidden) : dropout.Attended(_attentionNorm, projected, hidden);
            Tensor added = dropout?.Inner is null && IsRecorded(context, hidden)
                ? _output.ForwardActivated(_inner.Forward(attended), _activation)
                : _output.Forward(dropout?.Inner is { } drop ? drop(_inner.Forward(attended, _activation)) : _inner.Forward(attended, _activation));
            return scope.Keep(dropout is null ? _outputNorm.ForwardOver(added, attended) : dropout.Output(_outputNorm, added, attended));
        }
        if (_inner.Int8 is null && _activation != HiddenActivation.Silu)
        {
            LongformerOps.FeedForward(context, hidden, Product(_attentionOutput), Norm(_attentionNorm), Product(_inner),
                Activations.FunctionOf(_activation), Product(_output), Norm(_outputNorm));
            return context;
        }
        // The context of a model of eight bits may have another type.
        Tensor output = context.DType == hidden.DType ? context : Tensor.Empty(hidden.Shape, hidden.DType, hidden.Device);
        TokenBlocks.Fill(output, (block, from, count) =>
        {
            Tensor attended = _attentionOutput.Forward(context.Narrow(0, from, count));
            _attentionNorm.ForwardInto(attended, attended, hidden.Narrow(0, from, count));
            _output.ForwardInto(block, _inner.Forward(attended, _activation));
            _outputNorm.ForwardInto(block, block, attended);
        });
        return output == context ? context : scope.Keep(output);
    }

    private static LinearWeights Product(Linear linear) => new(linear.Weight, linear.Bias, linear.Packed);

    private static LayerNormWeights Norm(LayerNorm norm) => new(norm.Weight, norm.Bias, norm.Eps);

    private bool IsRecorded(Tensor context, Tensor hidden) =>
        GradientTape.Records(context, hidden) || _attentionOutput.IsRecorded || _attentionNorm.IsRecorded || _inner.IsRecorded || _output.IsRecorded
        || _outputNorm.IsRecorded;
}

/// <summary>The dropouts of one layer behind its attention.</summary>
/// <param name="Attended">Normalizes what is left of the attention's output plus the layer's input.</param>
/// <param name="Inner">What is left of the intermediate states; null: all.</param>
/// <param name="Output">Normalizes what is left of the second product plus what went into the first.</param>
internal sealed record FeedForwardDropout(Func<LayerNorm, Tensor, Tensor, Tensor> Attended, Func<Tensor, Tensor>? Inner,
    Func<LayerNorm, Tensor, Tensor, Tensor> Output);

/// <summary>Computes per-token results block by block of tokens, so that what is in between exists for one block only.</summary>
internal static class TokenBlocks
{
    // Enough rows for the matrix products to run at full speed, few enough that their intermediate states fit the third-level cache.
    private const long Tokens = 512;

    /// <summary>[count, width], made by <paramref name="block"/>(output, from, count), which writes the rows of some tokens. Nothing is
    /// recorded.</summary>
    public static Tensor Compute(long count, long width, DType dtype, Device device, Action<Tensor, long, long> block)
    {
        using TensorScope scope = new();
        Tensor output = Tensor.Empty([count, width], dtype, device);
        Fill(output, block);
        return scope.Keep(output);
    }

    /// <summary>Has <paramref name="block"/>(output, from, count) write all rows of <paramref name="output"/> [N, ...], some tokens at a time, each
    /// once.</summary>
    public static void Fill(Tensor output, Action<Tensor, long, long> block)
    {
        long count = output.Size(0);
        // Blocks of nearly one size: none is so small that it wastes the units.
        long blocks = (count + Tokens - 1) / Tokens;
        for (long i = 0; i < blocks; i++)
        {
            using TensorScope inner = new();
            (long from, long to) = (count * i / blocks, count * (i + 1) / blocks);
            block(output.Narrow(0, from, to - from), from, to - from);
        }
    }
}
