using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>A given span with its labels.</summary>
/// <param name="Start">First character, in UTF-16 units.</param>
/// <param name="End">One past the last character.</param>
/// <param name="Text">The characters <c>text[Start..End]</c>.</param>
/// <param name="Labels">All labels, best first (regression: in the checkpoint's order).</param>
public sealed record ClassifiedSpan(int Start, int End, string Text, IReadOnlyList<LabelScore> Labels);

/// <summary>
/// Classifies given spans of a text: which kind of name, relation or claim they are. No token is global by default. Thread-safe; dispose it to
/// free the model.
/// </summary>
public sealed class SpanClassifier : TextTask
{
    private readonly LongformerForSpanClassification _model;

    private SpanClassifier(LongformerForSpanClassification model, TextInputs inputs)
        : base(model, inputs, model.Configuration.Id2Label) => _model = model;

    /// <summary>Loads a checkpoint folder with a span classification head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static SpanClassifier Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForSpanClassification.Load, (model, inputs) => new SpanClassifier(model, inputs));

    /// <summary>The labels of every span, in the order of the spans.</summary>
    /// <param name="text">The text.</param>
    /// <param name="spans">Ranges of characters in UTF-16 units, half-open; each must cover text of a token.</param>
    /// <param name="options">Truncation and global tokens.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">The text is empty or too long, there is no span, or one is outside the text or covers no token.</exception>
    public IReadOnlyList<ClassifiedSpan> Classify(string text, IReadOnlyList<(int Start, int End)> spans, TaskOptions? options = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(spans);
        options ??= new TaskOptions();
        if (spans.Count == 0)
            throw new InputException("spans", "at least one", "none");
        Encoding encoding = Inputs.Encode(text, null, "text", options);
        TextInput input = new(encoding, options.Global.Resolve(encoding, Tokenizer, [], "text"));
        (long[] starts, long[] ends) = (new long[spans.Count], new long[spans.Count]);
        for (int i = 0; i < spans.Count; i++)
            (starts[i], ends[i]) = Tokens(text, encoding, spans[i], new ArgumentName("spans", i), options);
        CancelPoll.ThrowIfStopped(cancellation);
        float[] logits;
        using (TensorScope scope = new())
        {
            LongformerInputs packed =
                TextInputs.Pack([input]) with { EntityStartPositions = Tensor.From<long>(starts), EntityEndPositions = Tensor.From<long>(ends) };
            logits = TextInputs.ToFloats(_model.Forward(packed, cancellation).Logits);
        }
        int labels = Labels.Count;
        string problem = TextClassifier.ProblemTypeOf(_model.Configuration);
        return [.. spans.Select((span, i) =>
            new ClassifiedSpan(span.Start, span.End, text[span.Start..span.End],
                TextClassifier.Score(logits.AsSpan(i * labels, labels), problem, Labels)))];
    }

    /// <summary>The first and the last token whose text the span touches.</summary>
    private static (long First, long Last) Tokens(string text, Encoding encoding, (int Start, int End) span, ArgumentName name, TaskOptions options)
    {
        if (span.Start < 0 || span.End <= span.Start || span.End > text.Length)
            throw new InputException(name, $"a range of at least one of the text's {text.Length} characters", $"{span.Start}..{span.End}");
        ReadOnlySpan<TextRange> ranges = encoding.Offsets.Span;
        ReadOnlySpan<int> sequences = encoding.SequenceIds.Span;
        int first = -1, last = -1;
        for (int i = 0; i < ranges.Length; i++)
        {
            if (sequences[i] < 0 || ranges[i].Length == 0 || ranges[i].End <= span.Start || ranges[i].Start >= span.End)
                continue;
            first = first < 0 ? i : first;
            last = i;
        }
        return first >= 0 ? (first, last) : throw new InputException(name,
            $"a range that holds text of a token{(options.Truncate ? $" in the first {encoding.Count} tokens" : "")}", $"{span.Start}..{span.End}");
    }
}
