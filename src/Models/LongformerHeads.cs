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

    private LongformerForMaskedLM(LongformerLoader loader, LongformerBody body, Linear dense, LayerNorm norm, Linear decoder)
        : base(nameof(LongformerForMaskedLM), loader, body)
    {
        _dense = dense;
        _norm = norm;
        _decoder = decoder;
    }

    private protected override GlobalRule GlobalRule => GlobalRule.None;

    /// <summary>Loads a masked language model. Tied to the word embeddings or with a decoder of its own, as its configuration says.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForMaskedLM Load(string folder, LoadOptions? options = null) =>
        LongformerLoader.Load(folder, options, nameof(LongformerForMaskedLM), loader =>
        {
            (LongformerConfiguration c, ParameterLoader head) = (loader.Configuration, loader.Root / "lm_head");
            var body = new LongformerBody(loader);
            Linear dense = Linear.Load(head / "dense", c.HiddenSize, c.HiddenSize);
            LayerNorm norm = LayerNorm.Load(head / "layer_norm", c.HiddenSize, c.LayerNormEps);
            Linear decoder = c.TieWordEmbeddings
                ? Linear.Of(body.Embeddings.WordTable, head.Get("bias", c.VocabSize))
                : Linear.Load(head / "decoder", c.VocabSize, c.HiddenSize);
            return new LongformerForMaskedLM(loader, body, dense, norm, decoder);
        });

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        if (inputs.LogitRows is not null && inputs.Labels is not null)
            throw new InputException("LogitRows: expected no labels beside it, given both: a loss needs the logits of every token");
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
        // The exact GELU, whatever hidden_act says.
        Tensor logits = _decoder.Forward(_norm.Forward(_dense.Forward(hidden, HiddenActivation.Gelu)));
        Tensor? loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, batch.TokenShape, Configuration.VocabSize);
        return new LogitsOutputs { Logits = inputs.LogitRows is null ? batch.Unflatten(logits) : logits, Loss = loss };
    }
}

/// <summary>Scores of every label for a whole text. The first token is global by default.</summary>
public sealed class LongformerForSequenceClassification : LongformerPretrained<LogitsOutputs>
{
    private readonly Linear _dense, _output;

    private LongformerForSequenceClassification(LongformerLoader loader, LongformerBody body, Linear dense, Linear output)
        : base(nameof(LongformerForSequenceClassification), loader, body)
    {
        _dense = dense;
        _output = output;
    }

    private protected override GlobalRule GlobalRule => GlobalRule.First;

    /// <summary>Loads a sequence classifier.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForSequenceClassification Load(string folder, LoadOptions? options = null) =>
        LongformerLoader.Load(folder, options, nameof(LongformerForSequenceClassification), loader =>
        {
            (LongformerConfiguration c, ParameterLoader head) = (loader.Configuration, loader.Root / "classifier");
            var body = new LongformerBody(loader);
            return new LongformerForSequenceClassification(
                loader, body, Linear.Load(head / "dense", c.HiddenSize, c.HiddenSize), Linear.Load(head / "out_proj", c.NumLabels, c.HiddenSize));
        });

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        int place = Configuration.NumHiddenLayers;
        Tensor first = dropout.Hidden(batch.FirstTokens(hidden), place, 0);
        Tensor logits = _output.Forward(dropout.Hidden(_dense.Forward(first, HiddenActivation.Tanh), place, 1));
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

    private LongformerForQuestionAnswering(LongformerLoader loader, LongformerBody body, Linear outputs)
        : base(nameof(LongformerForQuestionAnswering), loader, body) => _outputs = outputs;

    private protected override GlobalRule GlobalRule => GlobalRule.Question;

    /// <summary>Loads an extractive question answering model.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForQuestionAnswering Load(string folder, LoadOptions? options = null) =>
        LongformerLoader.Load(folder, options, nameof(LongformerForQuestionAnswering), loader =>
            new LongformerForQuestionAnswering(loader, new LongformerBody(loader), Linear.Load(loader.Root / "qa_outputs", 2, loader.Configuration.HiddenSize)));

    private protected override SpanOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor logits = _outputs.Forward(hidden);
        Tensor Column(int i) => Differentiable.Reshape(Differentiable.Narrow(logits, 1, i, 1), batch.TokenCount);
        (Tensor start, Tensor end) = (Column(0), Column(1));
        return new SpanOutputs
        {
            StartLogits = batch.Unflatten(start),
            EndLogits = batch.Unflatten(end),
            Loss = inputs.StartPositions is null || inputs.EndPositions is null ? null
                : Losses.Mean(Losses.Positions(start, inputs.StartPositions, batch.Offsets, "start_positions"),
                    Losses.Positions(end, inputs.EndPositions, batch.Offsets, "end_positions")),
        };
    }
}

/// <summary>Scores of every label for every token. No token is global by default.</summary>
public sealed class LongformerForTokenClassification : LongformerPretrained<LogitsOutputs>
{
    private readonly Linear _classifier;

    private LongformerForTokenClassification(LongformerLoader loader, LongformerBody body, Linear classifier)
        : base(nameof(LongformerForTokenClassification), loader, body) => _classifier = classifier;

    private protected override GlobalRule GlobalRule => GlobalRule.None;

    /// <summary>Loads a token classifier.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForTokenClassification Load(string folder, LoadOptions? options = null) =>
        LongformerLoader.Load(folder, options, nameof(LongformerForTokenClassification), loader =>
            new LongformerForTokenClassification(
                loader, new LongformerBody(loader), Linear.Load(loader.Root / "classifier", loader.Configuration.NumLabels, loader.Configuration.HiddenSize)));

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor logits = _classifier.Forward(dropout.Hidden(hidden, Configuration.NumHiddenLayers, 0));
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

    private LongformerForMultipleChoice(LongformerLoader loader, LongformerBody body, LongformerPooler pooler, Linear classifier)
        : base(nameof(LongformerForMultipleChoice), loader, body)
    {
        _pooler = pooler;
        _classifier = classifier;
    }

    private protected override GlobalRule GlobalRule => GlobalRule.Choice;

    /// <summary>Loads a multiple choice model.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForMultipleChoice Load(string folder, LoadOptions? options = null) =>
        LongformerLoader.Load(folder, options, nameof(LongformerForMultipleChoice), loader =>
        {
            var body = new LongformerBody(loader);
            return new LongformerForMultipleChoice(
                loader, body, new LongformerPooler(loader), Linear.Load(loader.Root / "classifier", 1, loader.Configuration.HiddenSize));
        });

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor pooled = dropout.Hidden(_pooler.Forward(hidden, batch), Configuration.NumHiddenLayers, 0);
        Tensor logits = Differentiable.Reshape(_classifier.Forward(pooled), batch.SequenceShape);
        Tensor? loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, batch.SequenceShape[..1], (int)batch.SequenceShape[1]);
        return new LogitsOutputs { Logits = logits, Loss = loss };
    }
}
