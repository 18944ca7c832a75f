using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The outputs of <see cref="LongformerForHotpotQA"/>.</summary>
public sealed record HotpotOutputs : LongformerOutputs
{
    /// <summary>[P]: how likely each marked paragraph holds a supporting fact.</summary>
    public required Tensor ParagraphLogits { get; init; }

    /// <summary>[S]: how likely each marked sentence is a supporting fact.</summary>
    public required Tensor SentenceLogits { get; init; }

    /// <summary>Score of every token as the first of the answer, [B, T] (packed [N]).</summary>
    public required Tensor StartLogits { get; init; }

    /// <summary>Score of every token as the last of the answer, [B, T] (packed [N]).</summary>
    public required Tensor EndLogits { get; init; }

    /// <summary>[B, 3]: yes, no, or a span of the text.</summary>
    public required Tensor TypeLogits { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Named() =>
    [
        ("paragraph_logits", ParagraphLogits), ("sentence_logits", SentenceLogits), ("start_logits", StartLogits), ("end_logits", EndLogits),
        ("type_logits", TypeLogits),
    ];
}

/// <summary>
/// The paper's model of HotpotQA: paragraphs and sentences by the states of their markers, the answer by those of all tokens, its type by that of the
/// first one. HF has no such class. The caller says which tokens are global: in the paper the question and all markers.
/// </summary>
public sealed class LongformerForHotpotQA : LongformerPretrained<HotpotOutputs>
{
    private const int Types = 3;
    private readonly MarkerScorer _paragraphs, _sentences;
    private readonly Linear _span, _type;

    internal LongformerForHotpotQA(LongformerLoader loader)
        : base(loader, GlobalRule.First)
    {
        int size = loader.Configuration.HiddenSize;
        _paragraphs = new MarkerScorer(loader.Root / "paragraph_scorer", size, 1);
        _sentences = new MarkerScorer(loader.Root / "sentence_scorer", size, 3);
        _span = Linear.Load(loader.Root / "answer_span", 2, size);
        _type = Linear.Load(loader.Root / "answer_type", Types, size);
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForHotpotQA Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForHotpotQA>(folder, options);

    private protected override HotpotOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        Tensor paragraphs = Rows(inputs.ParagraphPositions, batch, "paragraph_positions");
        Tensor sentences = Rows(inputs.SentencePositions, batch, "sentence_positions");
        Tensor spans = _span.Forward(hidden);
        Tensor Column(int column) => batch.Unflatten(Differentiable.Reshape(Differentiable.Narrow(spans, 1, column, 1), -1));
        int layers = Configuration.NumHiddenLayers;
        return new HotpotOutputs
        {
            ParagraphLogits = _paragraphs.Forward(Differentiable.SelectRows(hidden, paragraphs), dropout, layers),
            SentenceLogits = _sentences.Forward(Differentiable.SelectRows(hidden, sentences), dropout, layers),
            StartLogits = Column(0), EndLogits = Column(1),
            TypeLogits = _type.Forward(dropout.Apply(batch.FirstTokens(hidden), layers, 0)),
        };
    }

    /// <summary>The rows in N of markers; the first token of every sequence where none are given.</summary>
    private static Tensor Rows(Tensor? given, SequenceBatch batch, string name)
    {
        if (given is null)
            return batch.FirstRows;
        if (given.DType is not (DType.Int64 or DType.Int32) || given.Rank != 1)
            throw new InputException(name, "int64 [markers], rows of all tokens", $"{given.DType} {InputReader.Show(given.Shape)}");
        long[] rows = HostValues.ToInt64(given);
        foreach ((long row, int i) in rows.Select((r, i) => (r, i)))
        {
            if ((ulong)row >= (ulong)batch.TokenCount)
                throw new InputException(new ArgumentName(name, i), $"a token, 0..{batch.TokenCount - 1}", $"{row}");
        }
        return HostBuffer.Upload(rows, batch.FirstRows.Device);
    }

    /// <summary>A net of two layers with one output: hidden to hidden, GELU, to 1.</summary>
    private sealed class MarkerScorer(ParameterLoader at, int size, int place)
    {
        private readonly Linear _dense = Linear.Load(at / "dense", size, size), _output = Linear.Load(at / "out_proj", 1, size);

        /// <summary>[M] of [M, C].</summary>
        public Tensor Forward(Tensor states, Dropout dropout, int layer) => Differentiable.Reshape(
            _output.Forward(dropout.Apply(_dense.Forward(dropout.Apply(states, layer, place), HiddenActivation.Gelu), layer, place + 1)), -1);
    }
}
