using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>Which implementation of banded attention computes. All give the same; each is the others' check.</summary>
public enum AttentionImplementation
{
    /// <summary>The kernels: memory linear in the length. The default.</summary>
    Fused,
    /// <summary>Overlapping blocks by matrix products, as the paper's <c>sliding_chunks</c>; any device.</summary>
    Chunks,
    /// <summary>The dense oracle: readable, quadratic in the length.</summary>
    Loop,
}

/// <summary>The function after a fused linear layer.</summary>
public enum Activation
{
    /// <summary>None.</summary>
    None,
    /// <summary>Gaussian error linear unit by erf.</summary>
    Gelu,
    /// <summary>Gaussian error linear unit, approximated by tanh.</summary>
    GeluTanh,
    /// <summary>max(x, 0).</summary>
    Relu,
    /// <summary>Hyperbolic tangent.</summary>
    Tanh,
    /// <summary>x times its sigmoid; not in a fused layer.</summary>
    Silu,
}

/// <summary>
/// The keys that a query of <see cref="LongformerOps.BandedAttention"/> sees (Longformer paper, section 3.1). A query at position i sees the
/// positions i + d*s for s = -<see cref="WindowLeft"/> .. <see cref="WindowRight"/>, where d is the dilation of its head, and every
/// global position of its sequence. A key counts once even if it is both.
/// </summary>
public sealed record BandedAttentionOptions
{
    /// <summary>Keys to the left, in steps of the dilation (W of the paper's window w = 2W).</summary>
    public required long WindowLeft { get; init; }

    /// <summary>Keys to the right, in steps of the dilation; 0 for the causal window of a language model.</summary>
    public required long WindowRight { get; init; }

    /// <summary>One dilation for all heads, or one for each of the H heads; null for 1.</summary>
    public long[]? Dilation { get; init; }

    /// <summary>[B, T], or [N] when packed; Bool, UInt8 or Int64, nonzero: the key is visible. An invisible query gives zeros. Null:
    /// all visible.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>[B, G], or [S, G] when packed; Int64: global positions inside each sequence, ascending, padded at the end with -1.
    /// Null: none.</summary>
    public Tensor? GlobalIndex { get; init; }

    /// <summary>[S + 1] ascending offsets of packed sequences, from 0 to N; null for a batch [B, T, H, D].</summary>
    public long[]? SequenceOffsets { get; init; }

    /// <summary>Multiplies the scores; null for 1 / sqrt(D).</summary>
    public double? Scale { get; init; }

    /// <summary>Probability of dropping an attention probability.</summary>
    public double Dropout { get; init; }

    /// <summary>Of the dropout: the same seed drops the same probabilities in every implementation.</summary>
    public long Seed { get; init; }

    /// <summary>Which implementation computes.</summary>
    public AttentionImplementation Implementation { get; init; }
}

/// <summary>The keys that a query of <see cref="LongformerOps.GlobalAttention"/> sees.</summary>
public sealed record GlobalAttentionOptions
{
    /// <summary>[B, T], or [N] when packed; nonzero: the key is visible. Null: all visible.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>[S + 1] ascending offsets of packed sequences, from 0 to N; null for a batch.</summary>
    public long[]? SequenceOffsets { get; init; }

    /// <summary>Multiplies the scores; null for 1 / sqrt(D).</summary>
    public double? Scale { get; init; }

    /// <summary>Probability of dropping an attention probability.</summary>
    public double Dropout { get; init; }

    /// <summary>Of the dropout.</summary>
    public long Seed { get; init; }
}

/// <summary>A row of a table for each of N tokens, for <see cref="LongformerOps.Embed"/>.</summary>
/// <param name="Table">[rows, C].</param>
/// <param name="Ids">Int64 [N], or null: token n takes row n modulo the table's rows, so that a table of N rows holds the tokens' vectors
/// themselves.</param>
/// <param name="PaddingIndex">A row that receives no gradient; null for none. Token types have none.</param>
public sealed record EmbeddingRows(Tensor Table, Tensor? Ids = null, long? PaddingIndex = null);

/// <summary>
/// The project's own operators (<c>longformer::*</c>), with shapes in B sequences, T tokens, H heads, D head dimension, G global
/// tokens; packed batches put S sequences of unequal length one after the other, N tokens in all. The library with them is
/// loaded at the first call. Errors as those of <see cref="Tensor"/>.
/// </summary>
public static partial class LongformerOps
{
    private static readonly OwnOperator
        BandedOp = new("banded_attention"), BandedProbabilitiesOp = new("banded_attention_probabilities"), GlobalOp = new("global_attention"),
        GlobalProbabilitiesOp = new("global_attention_probabilities"), FoldedOp = new("folded_global_attention"),
        DecodeOp = new("decode_attention"), LinearPackOp = new("linear_pack"), LinearOp = new("linear"), LinearIntoOp = new("_linear_into"),
        ActivationOp = new("activation"), AddLayerNormOp = new("add_layer_norm"), DropoutAddLayerNormOp = new("_dropout_add_layer_norm"),
        AddLayerNormIntoOp = new("_add_layer_norm_into"), DropoutAddLayerNormOverOp = new("_dropout_add_layer_norm_over"),
        EmbedOp = new("embed"), HiddenDropoutOp = new("hidden_dropout"), MultiplyAddOp = new("_multiply_add_peak"),
        MultipliesBFloat16Op = new("_multiplies_bfloat16");

    /// <summary>Windowed, dilated and global attention in one. Global queries come out as local ones, to be overwritten with the result
    /// of <see cref="GlobalAttention"/>.</summary>
    /// <param name="query">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="key">As the query.</param>
    /// <param name="value">As the query.</param>
    /// <param name="options">The keys that each query sees.</param>
    /// <returns>The output, shaped as the query, and the logarithm of the sum of the exponentials [B, T, H] or [N, H], Float32 (Float64
    /// for Float64). A query that sees nothing gives zeros.</returns>
    public static (Tensor Output, Tensor LogSumExp) BandedAttention(Tensor query, Tensor key, Tensor value, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return BandedOp.Call2(query, key, value, options.WindowLeft, options.WindowRight, options.Dilation, options.Mask, options.GlobalIndex,
            options.SequenceOffsets, options.Scale, options.Dropout, options.Seed, NameOf(options.Implementation));
    }

    /// <summary>The global queries over all keys of their sequence.</summary>
    /// <param name="query">[S, G, H, D]: only the global tokens, by their own projection.</param>
    /// <param name="key">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="value">As the key.</param>
    /// <param name="globalIndex">[S, G], Int64, padded at the end with -1; those rows, and rows of masked tokens, give zeros.</param>
    /// <param name="options">Mask, offsets, scale, dropout.</param>
    /// <returns>[S, G, H, D].</returns>
    public static Tensor GlobalAttention(Tensor query, Tensor key, Tensor value, Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        options ??= new();
        return GlobalOp.Call(query, key, value, globalIndex, options.Mask, options.SequenceOffsets, options.Scale, options.Dropout, options.Seed);
    }

    /// <summary>
    /// As <see cref="GlobalAttention"/> with key and value projected from the hidden states, without projecting every token: the key
    /// projection is folded into the query, the value projection applied after pooling.
    /// </summary>
    /// <param name="query">[S, G, H, D].</param>
    /// <param name="hidden">[B, T, C], or [N, C] when packed.</param>
    /// <param name="keyWeight">[H*D, C].</param>
    /// <param name="keyBias">[H*D], or null.</param>
    /// <param name="valueWeight">[H*D, C].</param>
    /// <param name="valueBias">[H*D], or null.</param>
    /// <param name="globalIndex">[S, G], Int64, padded at the end with -1.</param>
    /// <param name="options">Mask, offsets, scale, dropout.</param>
    /// <returns>[S, G, H, D].</returns>
    public static Tensor FoldedGlobalAttention(Tensor query, Tensor hidden, Tensor keyWeight, Tensor? keyBias, Tensor valueWeight,
        Tensor? valueBias, Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        options ??= new();
        return FoldedOp.Call(query, hidden, keyWeight, keyBias, valueWeight, valueBias, globalIndex, options.Mask, options.SequenceOffsets,
            options.Scale, options.Dropout, options.Seed);
    }

    /// <summary>A weight [out, in] arranged for <see cref="Linear"/>, to be made once per weight. Empty where nothing is to be gained: in
    /// Float64, on other devices than the CPU, and elsewhere where packing gains nothing.</summary>
    public static Tensor LinearPack(Tensor weight) => LinearPackOp.Call(weight);

    /// <summary>activation(input x weight^T + bias) + residual in one pass: [..., in] -> [..., out].</summary>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="packed">The result of <see cref="LinearPack"/> for the weight, or null. Where it is given and not
    /// empty, only shape and dtype of the weight matter: any tensor of that shape will do.</param>
    /// <param name="activation">The function after the product.</param>
    /// <param name="residual">[..., out], or null.</param>
    public static Tensor Linear(Tensor input, Tensor weight, Tensor? bias = null, Tensor? packed = null, Activation activation = Activation.None,
        Tensor? residual = null) => LinearOp.Call(input, weight, bias, packed, NameOf(activation), residual);

    /// <summary><see cref="Linear"/> into a tensor that exists, [..., out]. Gives that tensor.</summary>
    public static Tensor LinearInto(Tensor output, Tensor input, Tensor weight, Tensor? bias = null, Tensor? packed = null,
        Activation activation = Activation.None, Tensor? residual = null)
    {
        LinearIntoOp.Run(input, weight, bias, packed, NameOf(activation), residual, output);
        return output;
    }

    /// <summary>A function of each element: what <see cref="Linear"/> does after its product, by itself.</summary>
    public static Tensor Activate(Tensor input, Activation activation) => ActivationOp.Call(input, NameOf(activation));

    /// <summary>
    /// Elements dropped with some probability, and the kept ones divided by 1 - probability. Whether element i of the flat input is kept
    /// depends on the seed and on i alone; so the function is its own gradient.
    /// </summary>
    public static Tensor HiddenDropout(Tensor input, double probability, long seed) => HiddenDropoutOp.Call(input, probability, seed);

    /// <summary>Layer normalization of input + residual over the last dimension, in one pass.</summary>
    /// <param name="input">[..., C].</param>
    /// <param name="residual">As the input, or null.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    public static Tensor AddLayerNorm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, double epsilon) =>
        AddLayerNormOp.Call(input, residual, weight, bias, epsilon);

    /// <summary><see cref="AddLayerNorm"/> of <see cref="HiddenDropout"/> of the input, in one pass; only the input is dropped from.</summary>
    /// <param name="input">[..., C].</param>
    /// <param name="residual">As the input, or null.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="probability">From 0 to below 1.</param>
    /// <param name="seed">Of the dropout.</param>
    public static Tensor DropoutAddLayerNorm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, double epsilon,
        double probability, long seed) =>
        DropoutAddLayerNormOp.Call(input, residual, weight, bias, epsilon, probability, seed);

    /// <summary>The same, and the sum that is normalized is written over the input: all that
    /// <see cref="DropoutAddLayerNormOverBackward"/> needs of the two.</summary>
    /// <param name="input">[..., C], Float32 or Float64: in 16 bits the sum would be rounded. It may be needed nowhere else.</param>
    /// <param name="residual">As the input.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="probability">From 0 to below 1.</param>
    /// <param name="seed">Of the dropout.</param>
    public static Tensor DropoutAddLayerNormOver(Tensor input, Tensor residual, Tensor weight, Tensor bias, double epsilon,
        double probability, long seed) =>
        DropoutAddLayerNormOverOp.Call(input, residual, weight, bias, epsilon, probability, seed);

    /// <summary><see cref="AddLayerNorm"/> into a tensor that exists, shaped as the input; it may be the input or the residual. Gives that
    /// tensor.</summary>
    public static Tensor AddLayerNormInto(Tensor output, Tensor input, Tensor? residual, Tensor weight, Tensor bias, double epsilon)
    {
        AddLayerNormIntoOp.Run(input, residual, weight, bias, epsilon, output);
        return output;
    }

    /// <summary>The embeddings of N tokens, normalized: LayerNorm(wordScale * word + position + type), in one pass.</summary>
    /// <param name="words">The words' rows, or the tokens' own vectors.</param>
    /// <param name="positions">The positions' rows.</param>
    /// <param name="types">The token types' rows, or null.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="wordScale">The factor of the words' rows.</param>
    /// <returns>[N, C].</returns>
    /// <exception cref="TorchException">An id is outside its table, or shapes do not fit. On a CUDA device, where ids cannot be looked at without
    /// waiting, a token with such an id gets a row of NaN.</exception>
    public static Tensor Embed(EmbeddingRows words, EmbeddingRows positions, EmbeddingRows? types, Tensor weight, Tensor bias, double epsilon,
        double wordScale = 1)
    {
        ArgumentNullException.ThrowIfNull(words);
        ArgumentNullException.ThrowIfNull(positions);
        return EmbedOp.Call(words.Table, words.Ids, positions.Table, positions.Ids, types?.Table, types?.Ids, weight, bias, epsilon, wordScale,
            words.PaddingIndex ?? -1, positions.PaddingIndex ?? -1);
    }

    /// <summary>
    /// One step of token-by-token decoding: queries of several documents, those of one document one after the other, each over the keys
    /// and values of its document, which are read once for all of them.
    /// </summary>
    /// <param name="query">[R, H, D].</param>
    /// <param name="keys">For each document [L, H, D].</param>
    /// <param name="values">As the keys.</param>
    /// <param name="rows">For each document how many of the queries are its own.</param>
    /// <param name="masks">Empty, or for each document UInt8 or Bool [L] or [rows, L], nonzero: the key is visible; no elements: all are. A
    /// query that may see nothing gives the mean of all values.</param>
    /// <param name="scale">Multiplies the scores; null for 1 / sqrt(D).</param>
    /// <returns>[R, H, D].</returns>
    public static Tensor DecodeAttention(Tensor query, Tensor[] keys, Tensor[] values, long[] rows, Tensor[] masks, double? scale = null) =>
        DecodeOp.Call(query, keys, values, rows, masks, scale);

    /// <summary>The probabilities of <see cref="BandedAttention"/>, for looking at them; memory grows with T * K. Never dropped
    /// out. Dropout, seed and implementation of the options do not matter.</summary>
    /// <returns>[B, T, H, K] or [N, H, K] with K = G + <see cref="BandedAttentionOptions.WindowLeft"/> + 1 +
    /// <see cref="BandedAttentionOptions.WindowRight"/>: first the global keys in the order of their index, then the window from left to
    /// right in steps of the dilation. A global key inside the window is zero there.</returns>
    public static Tensor BandedAttentionProbabilities(Tensor query, Tensor key, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return BandedProbabilitiesOp.Call(query, key, options.WindowLeft, options.WindowRight, options.Dilation, options.Mask, options.GlobalIndex,
            options.SequenceOffsets, options.Scale);
    }

    /// <summary>The probabilities of <see cref="GlobalAttention"/>: [S, G, H, L] with L the longest sequence, zeros behind the end of a
    /// shorter one.</summary>
    public static Tensor GlobalAttentionProbabilities(Tensor query, Tensor key, Tensor globalIndex, GlobalAttentionOptions? options = null)
    {
        options ??= new();
        return GlobalProbabilitiesOp.Call(query, key, globalIndex, options.Mask, options.SequenceOffsets, options.Scale);
    }

    /// <summary>The processor's speed in independent chains of Float32 multiply-adds on all threads, in GFLOP/s; measured now, in milliseconds.
    /// The roof that benchmarks compare with.</summary>
    public static double MultiplyAddPeak() => MultiplyAddOp.CallDouble();

    /// <summary>Whether the CPU's kernels multiply BFloat16 by instructions of the processor's own, about twice as fast as Float32; else it is
    /// computed in Float32.</summary>
    public static bool MultipliesBFloat16 => MultipliesBFloat16Op.CallBool();

    private static string NameOf(AttentionImplementation implementation) => implementation switch
    {
        AttentionImplementation.Fused => "fused",
        AttentionImplementation.Chunks => "chunks",
        AttentionImplementation.Loop => "loop",
        _ => throw new InputException($"no attention implementation has the number {(int)implementation}"),
    };

    private static string NameOf(Activation activation) => activation switch
    {
        Activation.None => "none",
        Activation.Gelu => "gelu",
        Activation.GeluTanh => "gelu_tanh",
        Activation.Relu => "relu",
        Activation.Tanh => "tanh",
        Activation.Silu => "silu",
        _ => throw new InputException($"no activation has the number {(int)activation}"),
    };
}
