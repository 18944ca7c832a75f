using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>The encoder's outputs; everything is [N, C] over the tokens of all documents.</summary>
internal sealed record LedEncoderOutputs(Tensor LastHiddenState, IReadOnlyList<Tensor>? HiddenStates, AttentionTrace? Trace);

/// <summary>
/// BART's encoder with the attention of the Longformer (Beltagy et al., section 7): windows, global tokens, and positions for 16,384 tokens.
/// LayerNorm is behind each sublayer, or before it in an LED made of mBART; its eps is 1e-5 in every LED.
/// </summary>
internal sealed class LedEncoder
{
    public const double LayerNormEps = 1e-5;

    private readonly Tensor _positions;
    private readonly LayerNorm _embeddingNorm;
    private readonly LayerNorm? _lastNorm;
    private readonly double _wordScale;
    private readonly LedEncoderLayer[] _layers;
    private readonly int _padding;

    public LedEncoder(LedLoader loader, Tensor words)
    {
        (LedConfiguration c, ParameterLoader at) = (loader.Configuration, loader.Body / "encoder");
        Words = words;
        _positions = (at / "embed_positions").Get("weight", c.MaxEncoderPositionEmbeddings, c.DModel);
        _embeddingNorm = LayerNorm.Load(at / "layernorm_embedding", c.DModel, LayerNormEps);
        _lastNorm = c.AddFinalLayerNorm ? LayerNorm.Load(at / "layer_norm", c.DModel, LayerNormEps) : null;
        _wordScale = c.WordScale;
        _padding = c.PadTokenId;
        LongformerConfiguration attention = c.Encoder;
        _layers = [.. Enumerable.Range(0, c.EncoderLayers)
            .Select(i => new LedEncoderLayer((at / "layers" / $"{i}").InLayers(), c, attention, i, loader.Options.Attention))];
    }

    /// <summary>[V, C].</summary>
    public Tensor Words { get; }

    /// <summary>Runs all layers.</summary>
    /// <param name="batch">The documents.</param>
    /// <param name="dropout">The dropouts of this pass.</param>
    /// <param name="keepHiddenStates">Whether to return the states before and after every layer.</param>
    /// <param name="keepAttentions">Whether to return the probabilities of every layer.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <param name="words">[N, C] word vectors, where the caller looked them up already.</param>
    public LedEncoderOutputs Forward(SequenceBatch batch, LedDropout dropout, bool keepHiddenStates, bool keepAttentions,
        CancellationToken cancellation, Tensor? words = null)
    {
        using TensorScope scope = new();
        using IDisposable memory = TorchRuntime.HoldMemoryOfPass();
        Tensor hidden = Embed(batch, words, dropout);
        List<Tensor>? states = keepHiddenStates ? [hidden] : null;
        AttentionTrace? trace = keepAttentions ? new AttentionTrace() : null;
        foreach (LedEncoderLayer layer in _layers)
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            Tensor next = trace is not null ? layer.Forward(hidden, batch, dropout, trace)
                : GradientTape.Layer([hidden], inputs => layer.Forward(inputs[0], batch, dropout, null));
            if (states is null)
                hidden.Dispose();
            hidden = next;
            states?.Add(hidden);
        }
        if (_lastNorm is not null)
        {
            hidden = _lastNorm.Forward(hidden);
            if (states is not null)
                states[^1] = hidden;
        }
        foreach (Tensor state in states ?? [hidden])
            scope.Keep(state);
        return new LedEncoderOutputs(hidden, states, trace);
    }

    private Tensor Embed(SequenceBatch batch, Tensor? words, LedDropout dropout)
    {
        using TensorScope scope = new();
        (EmbeddingRows rows, double scale) = WordRows(Words, batch.InputIds, words, batch.InputsEmbeds, _padding, _wordScale);
        Tensor embedded = _embeddingNorm.Embed(rows, new(_positions, batch.PositionIds), wordScale: scale);
        return scope.Keep(dropout.Hidden.Apply(embedded, dropout.Encoder(0), 0));
    }

    /// <summary>Where the words' vectors come from, and what they are multiplied with: mBART's factor, but for
    /// vectors that a caller gives in place of ids.</summary>
    /// <param name="table">[V, C].</param>
    /// <param name="ids">int64 [N], where there are no vectors.</param>
    /// <param name="words">[N, C] rows of the table that were looked up already, or null.</param>
    /// <param name="given">[N, C] a caller's own vectors, or null.</param>
    /// <param name="padding">The table's row without a gradient.</param>
    /// <param name="scale">mBART's factor.</param>
    public static (EmbeddingRows Rows, double Scale) WordRows(Tensor table, Tensor? ids, Tensor? words, Tensor? given, int padding, double scale) =>
        words is null && given is not null ? (new(given), 1)
        : (words is not null ? new(words) : new(table, ids, padding), scale);
}

/// <summary>Attention, then feed-forward; each with its residual and LayerNorm.</summary>
internal sealed class LedEncoderLayer
{
    private readonly LongformerSelfAttention _attention;
    private readonly PostNormFeedForward? _feedForward;
    private readonly PreNormFeedForward? _preNorm;
    private readonly int _layer;

    public LedEncoderLayer(ParameterLoader at, LedConfiguration c, LongformerConfiguration attention, int layer,
        AttentionImplementation implementation)
    {
        _attention = new LongformerSelfAttention(at / "self_attn" / "longformer_self_attn", attention, layer, implementation);
        Linear attentionOutput = Linear.Load(at / "self_attn" / "output", c.DModel, c.DModel);
        LayerNorm attentionNorm = LayerNorm.Load(at / "self_attn_layer_norm", c.DModel, LedEncoder.LayerNormEps);
        Linear inner = Linear.Load(at / "fc1", c.EncoderFfnDim, c.DModel);
        Linear output = Linear.Load(at / "fc2", c.DModel, c.EncoderFfnDim);
        LayerNorm outputNorm = LayerNorm.Load(at / "final_layer_norm", c.DModel, LedEncoder.LayerNormEps);
        if (c.NormalizeBefore)
            _preNorm = new PreNormFeedForward(attentionNorm, attentionOutput, outputNorm, inner, output, c.ActivationFunction);
        else
            _feedForward = new PostNormFeedForward(attentionOutput, attentionNorm, inner, output, outputNorm, c.ActivationFunction);
        _layer = layer;
    }

    /// <summary>[N, C] of [N, C].</summary>
    public Tensor Forward(Tensor hidden, SequenceBatch batch, LedDropout dropout, AttentionTrace? trace)
    {
        using TensorScope scope = new();
        int place = dropout.Encoder(_layer + 1);
        if (_preNorm is { } layer)
        {
            Tensor gathered = _attention.Forward(layer.AttentionNorm.Forward(hidden), batch, dropout.Hidden, trace);
            Tensor attended = Differentiable.Add(dropout.Hidden.Apply(layer.AttentionOutput.Forward(gathered), place, 2), hidden);
            Tensor inner = dropout.Activation.Apply(layer.Inner.Forward(layer.OutputNorm.Forward(attended), layer.Activation), place, 3);
            return scope.Keep(Differentiable.Add(dropout.Hidden.Apply(layer.Output.Forward(inner), place, 4), attended));
        }
        Tensor context = _attention.Forward(hidden, batch, dropout.Hidden, trace);
        FeedForwardDropout? drop = dropout.Hidden.IsOn
            ? new FeedForwardDropout((norm, t, r) => dropout.Hidden.Normalize(norm, t, r, place, 2),
                dropout.Activation.HiddenProbability == 0 ? null : t => dropout.Activation.Apply(t, place, 3),
                (norm, t, r) => dropout.Hidden.Normalize(norm, t, r, place, 4))
            : null;
        return scope.Keep(_feedForward!.Forward(context, hidden, drop));
    }
}

/// <summary>A layer whose LayerNorms are in front of its sublayers, as in mBART: what <see cref="PostNormFeedForward"/> is to the others.</summary>
internal sealed record PreNormFeedForward(LayerNorm AttentionNorm, Linear AttentionOutput, LayerNorm OutputNorm, Linear Inner, Linear Output,
    HiddenActivation Activation);

/// <summary>
/// The dropouts of one pass: of sublayer outputs, of attention probabilities in the decoder, and behind the activation. Layers of the
/// encoder and the decoder count on, so that no two places share a seed; the places of self-attention inside the encoder are its own.
/// </summary>
internal sealed class LedDropout(long? seed, LedConfiguration c)
{
    public Dropout Hidden { get; } = new(seed, c.Dropout, c.AttentionDropout);

    public Dropout Attention { get; } = new(seed, c.AttentionDropout, 0);

    public Dropout Activation { get; } = new(seed, c.ActivationDropout, 0);

    public Dropout Classifier { get; } = new(seed, c.ClassifierDropout, 0);

    /// <summary>The number of an encoder layer (0: its embeddings), beside those that the attention layers use themselves.</summary>
    public int Encoder(int layer) => c.EncoderLayers + layer;

    /// <summary>The number of a decoder layer (0: its embeddings).</summary>
    public int Decoder(int layer) => (2 * c.EncoderLayers) + 1 + layer;

    /// <summary>The number of the head.</summary>
    public int Head => (2 * c.EncoderLayers) + c.DecoderLayers + 2;

    /// <summary>The number of one row's cross-attention in a decoder layer.</summary>
    public int Cross(int layer, long rows, int row) => (int)(Head + 1 + (layer * rows) + row);
}
