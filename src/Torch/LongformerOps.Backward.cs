using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// The gradients of the operators. Arguments with the names of the forward operator's are what it was given.
public static partial class LongformerOps
{
    private static readonly OwnOperator
        BandedBackwardOp = new("banded_attention_backward"), GlobalBackwardOp = new("_global_attention_backward"),
        FoldedBackwardOp = new("_folded_global_attention_backward"), LinearBackwardOp = new("_linear_backward"),
        ActivationBackwardOp = new("_activation_backward"), AddLayerNormBackwardOp = new("_add_layer_norm_backward"),
        LinearBackwardIntoOp = new("_linear_backward_into"), ActivatedLinearBackwardOp = new("_activated_linear_backward"),
        EmbedBackwardIntoOp = new("_embed_backward_into"),
        DropoutAddLayerNormOverBackwardOp = new("_dropout_add_layer_norm_over_backward"),
        DropoutAddLayerNormBackwardOp = new("_dropout_add_layer_norm_backward"), EmbedBackwardOp = new("_embed_backward");

    /// <summary>The gradients of <see cref="BandedAttention"/>.</summary>
    /// <param name="gradient">Of the output, shaped as it.</param>
    /// <param name="query">As given to the forward operator.</param>
    /// <param name="key">As given to the forward operator.</param>
    /// <param name="value">As given to the forward operator.</param>
    /// <param name="output">The forward operator's output.</param>
    /// <param name="logSumExp">The forward operator's second result.</param>
    /// <param name="options">As given to the forward operator.</param>
    public static (Tensor Query, Tensor Key, Tensor Value) BandedAttentionBackward(Tensor gradient, Tensor query, Tensor key, Tensor value,
        Tensor output, Tensor logSumExp, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return BandedBackwardOp.Call3(gradient, query, key, value, output, logSumExp, options.WindowLeft, options.WindowRight, options.Dilation,
            options.Mask, options.GlobalIndex, options.SequenceOffsets, options.Scale, options.Dropout, options.Seed,
            NameOf(options.Implementation));
    }

    /// <summary>The gradients of <see cref="GlobalAttention"/>.</summary>
    /// <param name="gradient">Of the output, [S, G, H, D].</param>
    /// <param name="query">As given to the forward operator.</param>
    /// <param name="key">As given to the forward operator.</param>
    /// <param name="value">As given to the forward operator.</param>
    /// <param name="globalIndex">As given to the forward operator.</param>
    /// <param name="options">As given to the forward operator.</param>
    public static (Tensor Query, Tensor Key, Tensor Value) GlobalAttentionBackward(Tensor gradient, Tensor query, Tensor key, Tensor value,
        Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        options ??= new();
        return GlobalBackwardOp.Call3(gradient, query, key, value, globalIndex, options.Mask, options.SequenceOffsets, options.Scale,
            options.Dropout, options.Seed);
    }

    /// <summary>The gradients of <see cref="FoldedGlobalAttention"/>; null for a bias that was not given.</summary>
    /// <param name="gradient">Of the output, [S, G, H, D].</param>
    /// <param name="query">As given to the forward operator.</param>
    /// <param name="hidden">As given to the forward operator.</param>
    /// <param name="keyWeight">As given to the forward operator.</param>
    /// <param name="keyBias">As given to the forward operator.</param>
    /// <param name="valueWeight">As given to the forward operator.</param>
    /// <param name="valueBias">As given to the forward operator.</param>
    /// <param name="globalIndex">As given to the forward operator.</param>
    /// <param name="options">As given to the forward operator.</param>
    public static FoldedGlobalAttentionGradients FoldedGlobalAttentionBackward(Tensor gradient, Tensor query, Tensor hidden, Tensor keyWeight,
        Tensor? keyBias, Tensor valueWeight, Tensor? valueBias, Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        options ??= new();
        Tensor?[] r = new Tensor?[6];
        FoldedBackwardOp.CallInto(r, gradient, query, hidden, keyWeight, keyBias, valueWeight, valueBias, globalIndex, options.Mask,
            options.SequenceOffsets, options.Scale, options.Dropout, options.Seed);
        return new(r[0]!, r[1]!, r[2]!, r[3], r[4]!, r[5]);
    }

    /// <summary>The gradients of input x weight^T + bias; null where not needed.</summary>
    /// <param name="gradient">[..., out].</param>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="needInput">Whether the gradient of the input is wanted.</param>
    /// <param name="needWeight">Whether the gradient of the weight is wanted.</param>
    /// <param name="needBias">Whether the gradient of the bias is wanted.</param>
    public static (Tensor? Input, Tensor? Weight, Tensor? Bias) LinearBackward(Tensor gradient, Tensor input, Tensor weight, bool needInput,
        bool needWeight, bool needBias)
    {
        Tensor?[] r = new Tensor?[3];
        LinearBackwardOp.CallInto(r, gradient, input, weight, needInput, needWeight, needBias);
        return (r[0], r[1], r[2]);
    }

    /// <summary>Adds the gradients of input and weight of <see cref="LinearBackward"/> to those that exist, without a tensor in between.</summary>
    /// <param name="gradient">[..., out].</param>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="toInput">Shaped as the input, or null.</param>
    /// <param name="toWeight">[out, in], or null.</param>
    public static void LinearBackwardInto(Tensor gradient, Tensor input, Tensor weight, Tensor? toInput, Tensor? toWeight) =>
        LinearBackwardIntoOp.Run(gradient, input, weight, toInput, toWeight);

    /// <summary>
    /// The gradients of activation(input) x weight^T + bias: of what the activation is taken of, of weight and bias. In less memory than by
    /// <see cref="Activate"/>, <see cref="LinearBackward"/> and <see cref="ActivationBackward"/>: two tensors like the input less at one time.
    /// </summary>
    /// <param name="gradient">[..., out].</param>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="activation">The function.</param>
    /// <param name="needWeight">Whether the gradient of the weight is wanted.</param>
    /// <param name="needBias">Whether the gradient of the bias is wanted.</param>
    /// <param name="toWeight">[out, in]: a gradient of the weight that it is added to; null: it is a new tensor.</param>
    /// <returns>Null where not needed; of the weight also where it was added.</returns>
    public static (Tensor Input, Tensor? Weight, Tensor? Bias) ActivatedLinearBackward(Tensor gradient, Tensor input, Tensor weight,
        Activation activation, bool needWeight = true, bool needBias = true, Tensor? toWeight = null)
    {
        Tensor?[] r = new Tensor?[3];
        ActivatedLinearBackwardOp.CallInto(r, gradient, input, weight, NameOf(activation), needWeight, needBias, toWeight);
        return (r[0]!, r[1], r[2]);
    }

    /// <summary>The gradient of <see cref="Activate"/>.</summary>
    /// <param name="gradient">Of its output.</param>
    /// <param name="input">The operator's input.</param>
    /// <param name="activation">The function.</param>
    public static Tensor ActivationBackward(Tensor gradient, Tensor input, Activation activation) =>
        ActivationBackwardOp.Call(gradient, input, NameOf(activation));

    /// <summary>The gradients of <see cref="AddLayerNorm"/>: of input and residual alike, of weight and of bias.</summary>
    /// <param name="gradient">Of the output, shaped as the input.</param>
    /// <param name="input">As given to the forward operator.</param>
    /// <param name="residual">As given to the forward operator.</param>
    /// <param name="weight">As given to the forward operator.</param>
    /// <param name="epsilon">As given to the forward operator.</param>
    public static (Tensor Sum, Tensor Weight, Tensor Bias) AddLayerNormBackward(Tensor gradient, Tensor input, Tensor? residual, Tensor weight,
        double epsilon) => AddLayerNormBackwardOp.Call3(gradient, input, residual, weight, epsilon);

    /// <summary>The gradients of <see cref="DropoutAddLayerNorm"/>: of input, residual, weight and bias.</summary>
    /// <param name="gradient">Of the output, shaped as the input.</param>
    /// <param name="input">As given to the forward operator.</param>
    /// <param name="residual">As given to the forward operator.</param>
    /// <param name="weight">As given to the forward operator.</param>
    /// <param name="epsilon">As given to the forward operator.</param>
    /// <param name="probability">As given to the forward operator.</param>
    /// <param name="seed">As given to the forward operator.</param>
    public static (Tensor Input, Tensor Residual, Tensor Weight, Tensor Bias) DropoutAddLayerNormBackward(Tensor gradient, Tensor input,
        Tensor? residual,
        Tensor weight, double epsilon, double probability, long seed)
    {
        Tensor?[] r = new Tensor?[4];
        DropoutAddLayerNormBackwardOp.CallInto(r, gradient, input, residual, weight, epsilon, probability, seed);
        return (r[0]!, r[1]!, r[2]!, r[3]!);
    }

    /// <summary>The gradients of <see cref="DropoutAddLayerNormOver"/>: of input, residual, weight and bias.</summary>
    /// <param name="gradient">Of the output, shaped as the sum.</param>
    /// <param name="sum">What the forward operator left in place of its input.</param>
    /// <param name="weight">As given to the forward operator.</param>
    /// <param name="epsilon">As given to the forward operator.</param>
    /// <param name="probability">As given to the forward operator.</param>
    /// <param name="seed">As given to the forward operator.</param>
    public static (Tensor Input, Tensor Residual, Tensor Weight, Tensor Bias) DropoutAddLayerNormOverBackward(Tensor gradient, Tensor sum,
        Tensor weight, double epsilon, double probability, long seed)
    {
        Tensor?[] r = new Tensor?[4];
        DropoutAddLayerNormOverBackwardOp.CallInto(r, gradient, sum, weight, epsilon, probability, seed);
        return (r[0]!, r[1]!, r[2]!, r[3]!);
    }

    /// <summary>The gradients of <see cref="Embed"/>: of the tables, weight and bias. A padding row gets zeros.</summary>
    /// <param name="gradient">[N, C].</param>
    /// <param name="words">As given to the forward operator.</param>
    /// <param name="positions">As given to the forward operator.</param>
    /// <param name="types">As given to the forward operator.</param>
    /// <param name="weight">As given to the forward operator.</param>
    /// <param name="bias">As given to the forward operator.</param>
    /// <param name="epsilon">As given to the forward operator.</param>
    /// <param name="wordScale">As given to the forward operator.</param>
    /// <param name="toWords">A gradient of the words' table that the new one is added to; null: a new tensor.</param>
    public static EmbedGradients EmbedBackward(Tensor gradient, EmbeddingRows words, EmbeddingRows positions, EmbeddingRows? types, Tensor weight,
        Tensor bias, double epsilon, double wordScale = 1, Tensor? toWords = null)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(positions);
        Tensor?[] r = new Tensor?[5];
        (long noWord, long noPosition) = (words.PaddingIndex ?? -1, positions.PaddingIndex ?? -1);
        if (toWords is null)
        {
            EmbedBackwardOp.CallInto(r, gradient, words.Table, words.Ids, positions.Table, positions.Ids, types?.Table, types?.Ids, weight, bias,
                epsilon, wordScale, noWord, noPosition);
        }
        else
        {
            EmbedBackwardIntoOp.CallInto(r, gradient, words.Table, words.Ids, positions.Table, positions.Ids, types?.Table, types?.Ids, weight, bias,
                epsilon, wordScale, noWord, noPosition, toWords);
        }
        return new(r[0], r[1]!, r[2], r[3]!, r[4]!);
    }
}

/// <summary>The gradients of <see cref="LongformerOps.FoldedGlobalAttentionBackward"/>, each shaped as its argument.</summary>
/// <param name="Query">[S, G, H, D].</param>
/// <param name="Hidden">[B, T, C], or [N, C] when packed.</param>
/// <param name="KeyWeight">[H*D, C].</param>
/// <param name="KeyBias">[H*D], or null.</param>
/// <param name="ValueWeight">[H*D, C].</param>
/// <param name="ValueBias">[H*D], or null.</param>
public readonly record struct FoldedGlobalAttentionGradients(Tensor Query, Tensor Hidden, Tensor KeyWeight, Tensor? KeyBias, Tensor ValueWeight,
    Tensor? ValueBias);

/// <summary>The gradients of <see cref="LongformerOps.EmbedBackward"/>, each shaped as its argument.</summary>
/// <param name="Words">The words' table, or the tokens' own vectors; null where it was added to a gradient that existed.</param>
/// <param name="Positions">The positions' table.</param>
/// <param name="Types">The token types' table; null where there was none.</param>
/// <param name="Weight">[C].</param>
/// <param name="Bias">[C].</param>
public readonly record struct EmbedGradients(Tensor? Words, Tensor Positions, Tensor? Types, Tensor Weight, Tensor Bias);
