using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.PythonNet;

/// <summary>A labeled stretch of a text, counted in code points as Python counts.</summary>
/// <param name="Label">Label, or empty.</param>
/// <param name="Text">The characters.</param>
/// <param name="Start">First character.</param>
/// <param name="End">One past the last.</param>
/// <param name="Score">Probability.</param>
/// <param name="Logit">The model's number, or 0.</param>
public sealed record TextSpan(string Label, string Text, int Start, int End, float Score, float Logit);

/// <summary>The tasks in terms that pythonnet can pass.</summary>
public static class TaskBridge
{
    /// <summary>Load options by name.</summary>
    public static LoadOptions Options(string device, string? dtype, string attention, bool trainable, string? tf32) => new()
    {
        Device = Device.Parse(device),
        DType = dtype is null ? null : TensorBridge.ParseDType(dtype),
        Attention = Enum.Parse<AttentionImplementation>(attention, ignoreCase: true),
        Trainable = trainable,
        TF32 = tf32 is null ? null : bool.Parse(tf32),
        Logger = LogBridge.Logger,
    };

    /// <summary>One tensor [N, C], or with pooling "tokens" N tensors [T, C]; the receiver disposes them. Null: as the folder says.</summary>
    public static unsafe Tensor[] Encode(DocumentEncoder encoder, string[] documents, string? pooling, bool? normalize, string? prompt, bool truncate,
        string? globals, int tokensPerBatch, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(watch);
        Pooling chosen = pooling is null ? encoder.DefaultPooling : Enum.Parse<Pooling>(pooling, ignoreCase: true);
        EmbeddingOptions options = new() { Normalize = normalize, PromptName = prompt, Truncate = truncate, Global = Globals(globals),
            Logger = LogBridge.Logger, TokensPerBatch = tokensPerBatch };
        int width = encoder.WidthOf(chosen);
        bool perToken = chosen == Pooling.Tokens;
        List<Tensor> results = perToken ? [] : [Tensor.Empty([documents.Length, width], DType.Float32)];
        try
        {
            foreach (DocumentEmbedding embedding in encoder.EncodeEach(documents, chosen, options, watch, watch.Token))
            {
                if (perToken)
                {
                    results.Add(Tensor.From<float>(embedding.Values, embedding.Tokens, width));
                    continue;
                }
                embedding.Values.CopyTo(new Span<float>((float*)results[0].DataPointer + ((long)embedding.Index * width), width));
            }
        }
        catch
        {
            foreach (Tensor result in results)
                result.Dispose();
            throw;
        }
        return [.. results];
    }

    /// <summary>Answers, best first.</summary>
    public static TextSpan[] Answer(QuestionAnswerer answerer, string question, string document, int top, int maxAnswerTokens,
        int overlap, bool noAnswer,
        bool truncate, string? globals, int tokensPerBatch, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(answerer);
        ArgumentNullException.ThrowIfNull(watch);
        AnswerOptions options = new()
        {
            MaxAnswerTokens = maxAnswerTokens, Overlap = overlap, NoAnswer = noAnswer, Truncate = truncate, Global = Globals(globals),
            Logger = LogBridge.Logger, TokensPerBatch = tokensPerBatch,
        };
        IReadOnlyList<Answer> answers = answerer.Answer(question, document, top, options, watch.Token);
        return [.. answers.Select(a =>
            new TextSpan("", a.Text, CodePointIndex.Before(document, a.Start), CodePointIndex.Before(document, a.End), a.Score, a.Logit))];
    }

    /// <summary>Entities in the order of the text.</summary>
    public static TextSpan[] Tag(TokenClassifier tagger, string text, string aggregation, bool truncate, string? globals, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(tagger);
        ArgumentNullException.ThrowIfNull(watch);
        TagOptions options = new() { Aggregation = Enum.Parse<TagAggregation>(aggregation, ignoreCase: true), Truncate = truncate,
            Global = Globals(globals), Logger = LogBridge.Logger };
        CodePointIndex points = new(text);
        return [.. tagger.Tag(text, options, watch.Token)
            .Select(e => new TextSpan(e.Label, e.Text, points.At(e.Start), points.At(e.End), e.Score, 0))];
    }

    /// <summary>Masks in the order of the text, in code points.</summary>
    public static FilledMask[] Fill(MaskFiller filler, string text, int top, bool truncate, string? globals, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(filler);
        ArgumentNullException.ThrowIfNull(watch);
        CodePointIndex points = new(text);
        return [.. filler.Fill(text, top, new TaskOptions { Truncate = truncate, Global = Globals(globals), Logger = LogBridge.Logger }, watch.Token)
            .Select(m => m with { Start = points.At(m.Start), End = points.At(m.End) })];
    }

    /// <summary>For each document its labels.</summary>
    public static LabelScore[][] Classify(TextClassifier classifier, string[] documents, bool truncate, string? globals, int tokensPerBatch,
        PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        ArgumentNullException.ThrowIfNull(watch);
        TaskOptions options = new() { Truncate = truncate, Global = Globals(globals), Logger = LogBridge.Logger, TokensPerBatch = tokensPerBatch };
        return [.. classifier.Classify(documents, options, watch, watch.Token).Select(labels => labels.ToArray())];
    }

    /// <summary>For each span its labels.</summary>
    /// <param name="classifier">The model.</param>
    /// <param name="text">The text.</param>
    /// <param name="starts">First code point of each span.</param>
    /// <param name="ends">One past the last.</param>
    /// <param name="truncate">Cut a long text.</param>
    /// <param name="globals">None for the task's own.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    public static LabelScore[][] ClassifySpans(SpanClassifier classifier, string text, int[] starts, int[] ends, bool truncate, string? globals,
        PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        ArgumentNullException.ThrowIfNull(watch);
        TaskOptions options = new() { Truncate = truncate, Global = Globals(globals), Logger = LogBridge.Logger };
        (int, int)[] spans = [.. starts.Zip(ends).Select(s => (CodePointIndex.After(text, s.First), CodePointIndex.After(text, s.Second)))];
        return [.. classifier.Classify(text, spans, options, watch.Token).Select(span => span.Labels.ToArray())];
    }

    /// <summary>Clusters of mentions, in code points.</summary>
    public static CoreferenceMention[][] Resolve(CoreferenceResolver resolver, string text, string? genre, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(resolver);
        ArgumentNullException.ThrowIfNull(watch);
        CodePointIndex points = new(text);
        return [.. resolver.Resolve(text, genre, watch.Token).Select(cluster =>
            cluster.Mentions.Select(m => m with { Start = points.At(m.Start), End = points.At(m.End) }).ToArray())];
    }

    /// <summary>Choices, best first.</summary>
    public static ChoiceScore[] Choose(MultipleChoice chooser, string document, string[] choices, string? question, bool truncate, string? globals,
        PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(chooser);
        ArgumentNullException.ThrowIfNull(watch);
        return [.. chooser.Choose(document, choices, question,
            new TaskOptions { Truncate = truncate, Global = Globals(globals), Logger = LogBridge.Logger }, watch.Token)];
    }

    /// <summary>Returns the results of each document; the watch gets the text of a single document as it comes.</summary>
    /// <param name="summarizer">The model.</param>
    /// <param name="documents">The documents.</param>
    /// <param name="generation">Options under HF's names, JSON.</param>
    /// <param name="seed">Of the sampling, or null.</param>
    /// <param name="prompt">The decoder's first tokens, or null.</param>
    /// <param name="truncate">Cut long documents.</param>
    /// <param name="globals">None for the task's own.</param>
    /// <param name="tokensPerBatch">Of the encoder.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    public static Summary[][] Summarize(Summarizer summarizer, string[] documents, string generation, ulong? seed, int[]? prompt, bool truncate,
        string? globals,
        int tokensPerBatch, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(summarizer);
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(watch);
        GenerationOptions how = GenerationOptions.Parse(generation) with { Seed = seed, DecoderPrompt = prompt };
        TaskOptions options = new() { Truncate = truncate, Global = Globals(globals), Logger = LogBridge.Logger, TokensPerBatch = tokensPerBatch };
        if (watch.OnText is { } onText && documents.Length == 1)
        {
            string text = summarizer.Summarize(documents[0], how, options, onText, watch.Token);
            return [[new Summary(text, new GeneratedSequence { Ids = [], PromptLength = 0, Score = 0, TokenScores = [], Ended = true })]];
        }
        return [.. summarizer.Summarize(documents, how, options, watch, cancellation: watch.Token).Select(results => results.ToArray())];
    }

    private static GlobalTokens Globals(string? text) => text is null ? GlobalTokens.TaskDefault : GlobalTokens.Parse(text);
}
