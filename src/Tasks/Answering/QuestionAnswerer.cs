using LongformerInterop.Models;
using LongformerInterop.Tasks.Answering;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// Extractive question answering. The question is global (Longformer section 3.2); a document beyond the model's positions
/// is read in overlapping windows. Thread-safe; dispose it to free the model.
/// </summary>
public sealed class QuestionAnswerer : TextTask
{
    private readonly LongformerForQuestionAnswering _model;

    private QuestionAnswerer(LongformerForQuestionAnswering model, TextInputs inputs)
        : base(model, inputs) => _model = model;

    /// <summary>Loads a checkpoint folder with a question answering head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static QuestionAnswerer Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForQuestionAnswering.Load, (model, inputs) => new QuestionAnswerer(model, inputs));

    /// <summary>The spans of the document that answer the question best, best first.</summary>
    /// <param name="question">The question.</param>
    /// <param name="document">The document, of any length (with <see cref="TaskOptions.Truncate"/> only its first window is read).</param>
    /// <param name="top">How many answers at most.</param>
    /// <param name="options">Options.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">Question or document is empty, or the question leaves no room for the document.</exception>
    public IReadOnlyList<Answer> Answer(string question, string document, int top = 1, AnswerOptions? options = null,
        CancellationToken cancellation = default)
    {
        options ??= new AnswerOptions();
        if (top < 1)
            throw new InputException("top", "at least 1", $"{top}");
        if (options.MaxAnswerTokens < 1)
            throw new InputException("MaxAnswerTokens", "at least 1", $"{options.MaxAnswerTokens}");
        AnswerMerger merger = new();
        foreach (List<TextInput> batch in TextInputs.Batches(Windows(question, document, options), options))
        {
            CancelPoll.ThrowIfStopped(cancellation);
            Run(batch, merger, top, options, cancellation);
        }
        return merger.Finish(document, top, options.NoAnswer);
    }

    /// <summary><see cref="Answer"/> on a thread of the pool.</summary>
    public Task<IReadOnlyList<Answer>> AnswerAsync(string question, string document, int top = 1, AnswerOptions? options = null,
        CancellationToken cancellation = default) =>
        Task.Run(() => Answer(question, document, top, options, cancellation), cancellation);

    private IEnumerable<TextInput> Windows(string question, string document, AnswerOptions options)
    {
        if (question is null || document is null)
            throw new InputException(question is null ? "question" : "document", "a text", "null");
        Inputs.CheckNotEmpty(Tokenizer.Encode(question), 0, "question");
        Encoding whole = Tokenizer.Encode(question, document);
        Inputs.CheckNotEmpty(whole, 1, "document");
        int length = whole.Count;
        if (length <= MaxTokens)
        {
            yield return Window(whole, options, "the input");
            yield break;
        }
        int documentTokens = 0;
        foreach (int sequence in whole.SequenceIds.Span)
            documentTokens += sequence == 1 ? 1 : 0;
        int room = MaxTokens - (length - documentTokens);
        if (room < 1)
        {
            throw new InputException("question",
                $"with its special tokens it takes {length - documentTokens} tokens; the checkpoint has positions for "
                + $"{MaxTokens}, which leaves none for the document")
            {
                Expected = $"fewer than {MaxTokens} tokens",
                Given = $"{length - documentTokens} tokens",
            };
        }
        Encoding first = Tokenizer.Encode(question, document, new EncodeOptions
        {
            MaxLength = MaxTokens,
            Truncation = TruncationStrategy.OnlySecond,
            Stride = Math.Clamp(options.Overlap, 0, room / 2),
        });
        yield return Window(first, options, "a window");
        if (options.Truncate)
            yield break;
        foreach (Encoding window in first.Overflowing)
            yield return Window(window, options, "a window");
    }

    /// <summary>The question's tokens, and the special token before them, are global.</summary>
    private TextInput Window(Encoding encoding, AnswerOptions options, string name)
    {
        int end = 0;
        ReadOnlySpan<int> sequences = encoding.SequenceIds.Span;
        for (int i = 0; i < sequences.Length; i++)
        {
            if (sequences[i] == 0)
                end = i + 1;
        }
        return new TextInput(encoding, options.Global.Resolve(encoding, Tokenizer, [.. Enumerable.Range(0, end)], name));
    }

    private void Run(List<TextInput> batch, AnswerMerger merger, int top, AnswerOptions options, CancellationToken cancellation)
    {
        float[] start, end;
        using (TensorScope scope = new())
        {
            SpanOutputs outputs = _model.Forward(TextInputs.Pack(batch), cancellation);
            // One copy from the device for both.
            float[] both = TextInputs.ToFloats(Tensor.Stack([outputs.StartLogits, outputs.EndLogits]));
            (start, end) = (both[..(both.Length / 2)], both[(both.Length / 2)..]);
        }
        int offset = 0;
        foreach (TextInput window in batch)
        {
            int length = window.Length;
            bool[] isDocument = Array.ConvertAll(window.Encoding.SequenceIds.ToArray(), sequence => sequence == 1);
            merger.Add(start.AsSpan(offset, length), end.AsSpan(offset, length), window.Encoding.Offsets.Span, isDocument, top,
                options.MaxAnswerTokens);
            offset += length;
        }
    }
}
