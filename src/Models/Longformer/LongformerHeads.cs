using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>Scores of every vocabulary entry at every position. No token is global by default.</summary>
public sealed class LongformerForMaskedLM : LongformerPretrained<LogitsOutputs>
{
    private readonly Linear _dense, _decoder;
    private readonly LayerNorm _norm;

    internal LongformerForMaskedLM(LongformerLoader loader)
        : base(loader, GlobalRule.None)
    {
        (LongformerConfiguration c, ParameterLoader head) = (loader.Configuration, loader.Root / "lm_head");
        _dense = Linear.Load(head / "dense", c.HiddenSize, c.HiddenSize);
        _norm = LayerNorm.Load(head / "layer_norm", c.HiddenSize, c.LayerNormEps);
        _decoder = c.TieWordEmbeddings
            ? Linear.Of(Body.Embeddings.WordTable, head.Get("bias", c.VocabSize))
            : Linear.Load(head / "decoder", c.VocabSize, c.HiddenSize);
        // HF's untied head keeps the bias of the tied one, which nothing reads.
        if (!c.TieWordEmbeddings && head.Has("bias"))
            head.GetBuffer("bias", c.VocabSize);
    }

    /// <summary>Loads a masked language model. Tied to the word embeddings or with its own decoder, as its configuration says.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForMaskedLM Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForMaskedLM>(folder, options);

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        if (inputs.LogitRows is not null && inputs.Labels is not null)
            throw new InputException("LogitRows", "no labels", "both: a loss needs the logits of every token");
        if (inputs.LogitRows is not null)
            hidden = Differentiable.SelectRows(hidden, HostBuffer.Upload(HostValues.ToInt64(inputs.LogitRows), hidden.Device));
        if (inputs.TrainingLoss is { } training && inputs.Labels is not null)
        {
            (Tensor rows, Tensor labels) = Losses.Labelled(inputs.Labels, batch.TokenShape, Configuration.VocabSize, hidden.Device);
            Tensor states = _norm.Forward(_dense.Forward(Differentiable.SelectRows(hidden, rows), HiddenActivation.Gelu));
            return new LogitsOutputs
            {
                Logits = Tensor.Empty([0, Configuration.VocabSize], hidden.DType, hidden.Device),
                Loss = Differentiable.VocabularyLoss(states, _decoder.Weight, _decoder.Bias, labels, training.LabelSmoothing, training.RowsPerBlock),
            };
        }
        // The exact GELU; hidden_act does not count here.
        Tensor logits = _decoder.Forward(_norm.Forward(_dense.Forward(hidden, HiddenActivation.Gelu)));
        Tensor? loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, batch.TokenShape, Configuration.VocabSize);
        return new LogitsOutputs { Logits = inputs.LogitRows is null ? batch.Unflatten(logits) : logits, Loss = loss };
    }
}

/// <summary>Scores of every label for a whole text. The first token is global by default.</summary>
public sealed class LongformerForSequenceClassification : LongformerPretrained<LogitsOutputs>
{
    private readonly Linear _dense, _output;

    internal LongformerForSequenceClassification(LongformerLoader loader)
        : base(loader, GlobalRule.First)
    {
        (LongformerConfiguration c, ParameterLoader head) = (loader.Configuration, loader.Root / "classifier");
        _dense = Linear.Load(head / "dense", c.HiddenSize, c.HiddenSize);
        _output = Linear.Load(head / "out_proj", c.NumLabels, c.HiddenSize);
    }

    /// <summary>Loads a sequence classifier.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForSequenceClassification Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForSequenceClassification>(folder, options);

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        int place = Configuration.NumHiddenLayers;
        Tensor first = dropout.Apply(batch.FirstTokens(hidden), place, 0);
        Tensor logits = _output.Forward(dropout.Apply(_dense.Forward(first, HiddenActivation.Tanh), place, 1));
        return new LogitsOutputs { Logits = logits, Loss = inputs.Labels is null ? null : Losses.Sequences(logits, inputs.Labels, Configuration) };
    }
}

/// <summary>
/// Scores of every token as the first and the last of the answer. By default every token before the first separator (the question) is
/// global; the text behind it may hold any number of separators.
/// </summary>
public sealed class LongformerForQuestionAnswering : LongformerPretrained<SpanOutputs>
{
    private readonly Linear _outputs;

    internal LongformerForQuestionAnswering(LongformerLoader loader)
        : base(loader, GlobalRule.Question) => _outputs = Linear.Load(loader.Root / "qa_outputs", 2, loader.Configuration.HiddenSize);

    /// <summary>Loads an extractive question answering model.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForQuestionAnswering Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForQuestionAnswering>(folder, options);

    private protected override SpanOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor logits = _outputs.Forward(hidden);
        Tensor Column(int i) => Differentiable.Reshape(Differentiable.Narrow(logits, 1, i, 1), batch.TokenCount);
        (Tensor start, Tensor end) = (Column(0), Column(1));
        return new SpanOutputs
        {
            StartLogits = batch.Unflatten(start),
            EndLogits = batch.Unflatten(end),
            Loss = Losses.Span(start, end, inputs, batch.Offsets),
        };
    }
}

/// <summary>Scores of every label for every token. No token is global by default.</summary>
public sealed class LongformerForTokenClassification : LongformerPretrained<LogitsOutputs>
{
    private readonly Linear _classifier;

    internal LongformerForTokenClassification(LongformerLoader loader)
        : base(loader, GlobalRule.None) =>
        _classifier = Linear.Load(loader.Root / "classifier", loader.Configuration.NumLabels, loader.Configuration.HiddenSize);

    /// <summary>Loads a token classifier.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForTokenClassification Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForTokenClassification>(folder, options);

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor logits = _classifier.Forward(dropout.Apply(hidden, Configuration.NumHiddenLayers, 0));
        Tensor? loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, batch.TokenShape, Configuration.NumLabels);
        return new LogitsOutputs { Logits = batch.Unflatten(logits), Loss = loss };
    }
}

/// <summary>
/// Scores of every choice of a question. By default every token behind the pair of separators that ends the first part is global.
/// </summary>
public sealed class LongformerForMultipleChoice : LongformerPretrained<LogitsOutputs>
{
    private readonly LongformerPooler _pooler;
    private readonly Linear _classifier;

    internal LongformerForMultipleChoice(LongformerLoader loader)
        : base(loader, GlobalRule.Choice)
    {
        _pooler = new LongformerPooler(loader);
        _classifier = Linear.Load(loader.Root / "classifier", 1, loader.Configuration.HiddenSize);
    }

    /// <summary>Loads a multiple choice model.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForMultipleChoice Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForMultipleChoice>(folder, options);

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor pooled = dropout.Apply(_pooler.Forward(hidden, batch), Configuration.NumHiddenLayers, 0);
        Tensor logits = Differentiable.Reshape(_classifier.Forward(pooled), batch.SequenceShape);
        Tensor? loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, batch.SequenceShape[..1], (int)batch.SequenceShape[1]);
        return new LogitsOutputs { Logits = logits, Loss = loss };
    }
}
