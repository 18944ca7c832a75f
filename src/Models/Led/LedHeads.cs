using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// Scores of every vocabulary entry at every decoder position: summarization and everything else that turns a document into text.
/// Generation begins with <see cref="StartDecoding"/>.
/// </summary>
public sealed class LedForConditionalGeneration : LedPretrained<LedLogitsOutputs>
{
    private readonly LedOutputHead _output;

    internal LedForConditionalGeneration(LedLoader loader)
        : base(loader) => _output = new LedOutputHead(loader, Body.Output);

    private protected override bool LabelsAreTokens => true;

    /// <summary>Loads an LED with its language modelling head, tied to the embeddings or not.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static new LedForConditionalGeneration Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LedForConditionalGeneration>(folder, options);

    /// <summary>Begins token-by-token decoding of encoded documents.</summary>
    /// <param name="documents">The result of <see cref="LedPretrained{TOutputs}.Encode"/>; it must live as long as the session.</param>
    /// <param name="maxLength">The most tokens that a row will be fed, prompt included.</param>
    /// <param name="rowsPerDocument">The most rows of one document in a step: beams, or samples.</param>
    /// <param name="useCache">False computes every position again at each step: the readable reference for the cached session.</param>
    /// <exception cref="InputException"><paramref name="maxLength"/> is beyond the decoder's positions.</exception>
    public IDecodingSession StartDecoding(LedEncodedDocuments documents, int maxLength, int rowsPerDocument = 1, bool useCache = true)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(rowsPerDocument, 1);
        if (maxLength > Configuration.MaxDecoderPositionEmbeddings)
        {
            throw new InputException("maxLength", $"at most the {Configuration.MaxDecoderPositionEmbeddings} positions of the decoder",
                $"{maxLength}");
        }
        return useCache
            ? new LedCachedSession(Body.Decoder, _output, documents, Configuration, maxLength, rowsPerDocument)
            : new LedUncachedSession(Body.Decoder, _output, documents, Configuration);
    }

    private protected override LedLogitsOutputs Compute(LedInputs inputs, Tensor hidden, LedDecoderBatch batch, Tensor encoderStates,
        LedDropout dropout)
    {
        if (inputs.TrainingLoss is { } training && inputs.Labels is not null)
        {
            (Tensor rows, Tensor labels) = Losses.Labelled(inputs.Labels, [batch.Rows, batch.Length], Configuration.VocabSize, hidden.Device);
            return new LedLogitsOutputs
            {
                Logits = Tensor.Empty([0, Configuration.VocabSize], hidden.DType, hidden.Device),
                Loss = _output.Loss(Differentiable.SelectRows(hidden, rows), labels, training),
                EncoderLastHiddenState = encoderStates,
            };
        }
        Tensor logits = _output.Forward(hidden);
        return new LedLogitsOutputs
        {
            Logits = Differentiable.Reshape(logits, batch.Rows, batch.Length, Configuration.VocabSize),
            Loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, [batch.Rows, batch.Length], Configuration.VocabSize),
            EncoderLastHiddenState = encoderStates,
        };
    }
}

/// <summary>
/// Scores of every token as the first and the last of the answer, per decoder position; the decoder is given the document's own ids,
/// shifted right, so that a document must fit into the decoder's position table.
/// </summary>
public sealed class LedForQuestionAnswering : LedPretrained<LedSpanOutputs>
{
    private readonly Linear _outputs;

    internal LedForQuestionAnswering(LedLoader loader)
        : base(loader) => _outputs = Linear.Load(loader.Root / "qa_outputs", 2, loader.Configuration.DModel);

    /// <summary>Loads an extractive question answering model.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LedForQuestionAnswering Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LedForQuestionAnswering>(folder, options);

    private protected override LedSpanOutputs Compute(LedInputs inputs, Tensor hidden, LedDecoderBatch batch, Tensor encoderStates,
        LedDropout dropout)
    {
        Tensor logits = _outputs.Forward(hidden);
        Tensor Column(int i) => Differentiable.Reshape(Differentiable.Narrow(logits, 1, i, 1), batch.Rows * batch.Length);
        (Tensor start, Tensor end) = (Column(0), Column(1));
        // Over the positions of the decoder; those outside are clamped to 0..S, and S (the answer was cut off) does not count.
        long[] offsets = [.. Enumerable.Range(0, (int)batch.Rows + 1).Select(row => row * batch.Length)];
        return new LedSpanOutputs
        {
            StartLogits = Differentiable.Reshape(start, batch.Rows, batch.Length),
            EndLogits = Differentiable.Reshape(end, batch.Rows, batch.Length),
            Loss = Losses.Span(start, end, inputs, offsets),
            EncoderLastHiddenState = encoderStates,
        };
    }
}

/// <summary>
/// Scores of every label for a whole document, which HF has dropped (transformers up to 4.x: <c>LEDForSequenceClassification</c>). The decoder
/// is given the document's ids shifted right; a small head reads the state at the last <c>&lt;/s&gt;</c>.
/// </summary>
public sealed class LedForSequenceClassification : LedPretrained<LedLogitsOutputs>
{
    private readonly Linear _dense, _output;

    internal LedForSequenceClassification(LedLoader loader)
        : base(loader)
    {
        (LedConfiguration c, ParameterLoader head) = (loader.Configuration, loader.Root / "classification_head");
        _dense = Linear.Load(head / "dense", c.DModel, c.DModel);
        _output = Linear.Load(head / "out_proj", c.NumLabels, c.DModel);
    }

    /// <summary>Loads a sequence classifier.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LedForSequenceClassification Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LedForSequenceClassification>(folder, options);

    private protected override LedLogitsOutputs Compute(LedInputs inputs, Tensor hidden, LedDecoderBatch batch, Tensor encoderStates,
        LedDropout dropout)
    {
        Tensor ends = HostBuffer.Upload(LastEnds(inputs, batch), hidden.Device);
        Tensor pooled = dropout.Classifier.Apply(Differentiable.SelectRows(hidden, ends), dropout.Head, 0);
        Tensor logits = _output.Forward(dropout.Classifier.Apply(_dense.Forward(pooled, HiddenActivation.Tanh), dropout.Head, 1));
        return new LedLogitsOutputs
        {
            Logits = logits,
            Loss = inputs.Labels is null ? null : Losses.Sequences(logits, inputs.Labels, Configuration),
            EncoderLastHiddenState = encoderStates,
        };
    }

    /// <summary>Rows in B * S of each document's last <c>&lt;/s&gt;</c>. Unlike HF's, documents may hold different numbers of them.</summary>
    private long[] LastEnds(LedInputs inputs, LedDecoderBatch batch)
    {
        if (inputs.InputIds is null || inputs.IsPacked || inputs.InputIds.Size(1) != batch.Length)
        {
            throw new InputException(
                "input_ids: expected a padded batch of ids as long as the decoder's, in which the last </s> of each document is found");
        }
        long[] ids = HostValues.ToInt64(inputs.InputIds), ends = new long[batch.Rows];
        for (int row = 0; row < ends.Length; row++)
        {
            int at = ids.AsSpan(row * (int)batch.Length, (int)batch.Length).LastIndexOf(Configuration.EosTokenId);
            if (at < 0)
                throw new InputException(new("input_ids", row), $"at least one </s> (id {Configuration.EosTokenId})", "none");
            ends[row] = (row * batch.Length) + at;
        }
        return ends;
    }
}
