using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The Longformer of Beltagy, Peters and Cohan (arXiv 2004.05150): a RoBERTa encoder whose self-attention is a sliding window plus a
/// few global tokens, so that its cost grows linearly with the length. Agrees with <c>LongformerModel</c> of HF and <c>Longformer</c> of
/// allenai/longformer, but pads nothing: any length runs at its own cost.
/// </summary>
public sealed class LongformerModel : LongformerPretrained<BaseModelOutputs>
{
    private readonly LongformerPooler? _pooler;

    internal LongformerModel(LongformerLoader loader)
        : base(loader, GlobalRule.None) => _pooler = loader.Body.Has("pooler") ? new LongformerPooler(loader) : null;

    /// <summary>Loads the body of any Longformer checkpoint, with its pooler where it has one.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerModel Load(string folder, LoadOptions? options = null) => ModelLoader.Load<LongformerModel>(folder, options);

    private protected override BaseModelOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout) =>
        new() { LastHiddenState = batch.Unflatten(hidden), PoolerOutput = _pooler?.Forward(hidden, batch) };
}

/// <summary>Embeddings and encoder layers, which all classes share.</summary>
internal sealed class LongformerBody
{
    private readonly LongformerLayer[] _layers;

    public LongformerBody(LongformerLoader loader)
    {
        Embeddings = new LongformerEmbeddings(loader.Body / "embeddings", loader.Configuration);
        _layers = new LongformerLayer[loader.Configuration.NumHiddenLayers];
        for (int i = 0; i < _layers.Length; i++)
            _layers[i] = new LongformerLayer((loader.Body / $"encoder.layer.{i}").InLayers(), loader.Configuration, i, loader.Options.Attention);
    }

    public LongformerEmbeddings Embeddings { get; }

    /// <summary>The last hidden states [N, C]; those before every layer and after the last are added to <paramref name="states"/>.</summary>
    public Tensor Forward(SequenceBatch batch, Dropout dropout, List<Tensor>? states, AttentionTrace? trace, CancellationToken cancellation)
    {
        using IDisposable memory = TorchRuntime.HoldMemoryOfPass();
        Tensor hidden = Embeddings.Forward(batch, dropout);
        foreach (LongformerLayer layer in _layers)
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            states?.Add(hidden);
            Tensor next = trace is not null ? layer.Forward(hidden, batch, dropout, trace)
                : GradientTape.Layer([hidden], inputs => layer.Forward(inputs[0], batch, dropout, null));
            if (states is null)
                hidden.Dispose();
            hidden = next;
        }
        states?.Add(hidden);
        return hidden;
    }
}

/// <summary>The sum of word, position and token type embeddings, normalized.</summary>
internal sealed class LongformerEmbeddings
{
    private readonly Tensor _words, _positions, _types;
    private readonly LayerNorm _norm;
    private readonly int _padding;

    public LongformerEmbeddings(ParameterLoader at, LongformerConfiguration c)
    {
        _words = at.Get("word_embeddings.weight", c.VocabSize, c.HiddenSize);
        _positions = at.Get("position_embeddings.weight", c.MaxPositionEmbeddings, c.HiddenSize);
        _types = at.Get("token_type_embeddings.weight", c.TypeVocabSize, c.HiddenSize);
        _norm = LayerNorm.Load(at / "LayerNorm", c.HiddenSize, c.LayerNormEps);
        _padding = c.PadTokenId;
    }

    /// <summary>The table of the words, to which a decoder may be tied.</summary>
    public Tensor WordTable => _words;

    /// <summary>Rows of the word table; the padding row gets no gradient.</summary>
    public Tensor Words(Tensor ids) => Differentiable.Embedding(ids, _words, _padding);

    public Tensor Forward(SequenceBatch batch, Dropout dropout)
    {
        using TensorScope scope = new();
        EmbeddingRows words = batch.InputsEmbeds is { } given ? new(given) : new(_words, batch.InputIds, _padding);
        Tensor embedded = _norm.Embed(words, new(_positions, batch.PositionIds, _padding), new(_types, batch.TokenTypeIds));
        return scope.Keep(dropout.Apply(embedded, -1, 0));
    }
}

/// <summary>One encoder layer: attention, then two feed-forward products, each added to its input and normalized.</summary>
internal sealed class LongformerLayer
{
    private readonly LongformerSelfAttention _attention;
    private readonly PostNormFeedForward _feedForward;
    private readonly int _layer;

    public LongformerLayer(ParameterLoader at, LongformerConfiguration c, int layer, AttentionImplementation implementation)
    {
        _attention = new LongformerSelfAttention(at / "attention.self", c, layer, implementation);
        _feedForward = new PostNormFeedForward(
            Linear.Load(at / "attention.output.dense", c.HiddenSize, c.HiddenSize),
            LayerNorm.Load(at / "attention.output.LayerNorm", c.HiddenSize, c.LayerNormEps),
            Linear.Load(at / "intermediate.dense", c.IntermediateSize, c.HiddenSize),
            Linear.Load(at / "output.dense", c.HiddenSize, c.IntermediateSize),
            LayerNorm.Load(at / "output.LayerNorm", c.HiddenSize, c.LayerNormEps),
            c.HiddenAct);
        _layer = layer;
    }

    /// <summary>[N, C] of [N, C].</summary>
    public Tensor Forward(Tensor hidden, SequenceBatch batch, Dropout dropout, AttentionTrace? trace)
    {
        using TensorScope scope = new();
        Tensor context = _attention.Forward(hidden, batch, dropout, trace);
        FeedForwardDropout? drop = dropout.IsOn
            ? new FeedForwardDropout((norm, t, r) => dropout.Normalize(norm, t, r, _layer, 2), null,
                (norm, t, r) => dropout.Normalize(norm, t, r, _layer, 3)) : null;
        return scope.Keep(_feedForward.Forward(context, hidden, drop));
    }
}

/// <summary>tanh of a product of each sequence's first token.</summary>
internal sealed class LongformerPooler
{
    private readonly Linear _dense;

    public LongformerPooler(LongformerLoader loader) =>
        _dense = Linear.Load(loader.Body / "pooler.dense", loader.Configuration.HiddenSize, loader.Configuration.HiddenSize);

    /// <summary>[S, C] of [N, C].</summary>
    public Tensor Forward(Tensor hidden, SequenceBatch batch)
    {
        using TensorScope scope = new();
        return scope.Keep(_dense.Forward(batch.FirstTokens(hidden), HiddenActivation.Tanh));
    }
}
