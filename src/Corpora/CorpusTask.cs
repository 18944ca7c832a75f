using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Answering;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tasks.Tagging;
using LongformerInterop.Torch;

namespace LongformerInterop.Corpora;

/// <summary>The result of a text: the task's values, or why there are none.</summary>
internal readonly record struct CorpusResult(object?[]? Values, int Tokens, InputException? Problem);

/// <summary>Computes the results of the texts of a corpus. A task is used from one thread; the model stays the caller's.</summary>
public abstract class CorpusTask
{
    // A text that fails ends a call, whose work is lost: so calls are not long.
    private const int TextsPerCall = 64;

    /// <summary>The columns that it adds.</summary>
    public abstract IReadOnlyList<CorpusColumn> Columns { get; }

    /// <summary>Vectors: <c>embedding</c> and <c>tokens</c>.</summary>
    /// <param name="encoder">The encoder.</param>
    /// <param name="pooling">Not <see cref="Pooling.Tokens"/>; null: the folder's own.</param>
    /// <param name="options">As for <see cref="DocumentEncoder.Encode"/>.</param>
    /// <exception cref="InputException">The pooling gives more than one vector.</exception>
    public static CorpusTask Encode(DocumentEncoder encoder, Pooling? pooling = null, EmbeddingOptions? options = null) =>
        pooling == Pooling.Tokens
            ? throw new InputException("pooling", "one that gives a vector for a text", "tokens")
            : new EncodeTask(encoder, pooling, options);

    /// <summary>The best label with its score, and all labels with their scores: <c>label</c>, <c>score</c>, <c>labels</c>, <c>scores</c>.</summary>
    public static CorpusTask Classify(TextClassifier classifier, TaskOptions? options = null) => new ClassifyTask(classifier, options);

    /// <summary>The entities, as one text of JSON with their labels, texts, ranges and scores: <c>entities</c>.</summary>
    public static CorpusTask Tag(TokenClassifier tagger, TagOptions? options = null) =>
        new EachTask([new("entities", typeof(string))], (text, cancellation) => [Entities(tagger.Tag(text, options, cancellation))]);

    /// <summary>The best answer to one question, with its range and score: <c>answer</c>, <c>start</c>, <c>end</c>, <c>score</c>.</summary>
    public static CorpusTask Answer(QuestionAnswerer answerer, string question, AnswerOptions? options = null) =>
        new EachTask([new("answer", typeof(string)), new("start", typeof(int)), new("end", typeof(int)), new("score", typeof(float))],
            (text, cancellation) =>
        {
            IReadOnlyList<Answer> answers = answerer.Answer(question, text, 1, options, cancellation);
            return answers is [{ } best, ..] ? [best.Text, best.Start, best.End, best.Score] : ["", 0, 0, 0f];
        });

    /// <summary>The best summary: <c>summary</c>. Of several results (<see cref="GenerationOptions.NBest"/>) also all with their scores, best first:
    /// <c>summaries</c>, <c>scores</c>.</summary>
    public static CorpusTask Summarize(Summarizer summarizer, GenerationOptions? generation = null, TaskOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(summarizer);
        return new SummarizeTask(summarizer, summarizer.WithDefaults(generation), options ?? new TaskOptions());
    }

    /// <summary>Works through texts that belong together. Long ones come first: a batch then holds texts of one length.</summary>
    internal CorpusResult[] Run(IReadOnlyList<string> texts, CancellationToken cancellation)
    {
        CorpusResult[] results = new CorpusResult[texts.Count];
        List<int> open = [.. Enumerable.Range(0, texts.Count).OrderByDescending(i => texts[i].Length)];
        for (int from = 0; from < open.Count;)
        {
            int[] call = [.. open.Skip(from).Take(TextsPerCall)];
            int done = 0;
            try
            {
                foreach ((int index, object?[] values, int tokens) in Call([.. call.Select(i => texts[i])], cancellation))
                {
                    results[call[index]] = new CorpusResult(values, tokens, null);
                    from++;
                    done++;
                }
            }
            catch (InputException e) when (done < call.Length)
            {
                // The texts before it in the call are done; it is taken out, and the others are called again.
                int bad = e.Argument is { Name: "documents", Index: [long index] } ? call[(int)index] : call[done];
                results[bad] = new CorpusResult(null, 0, e);
                open.Remove(bad);
            }
        }
        return results;
    }

    /// <summary>The values of texts, in their order.</summary>
    private protected abstract IEnumerable<(int Index, object?[] Values, int Tokens)> Call(IReadOnlyList<string> texts,
        CancellationToken cancellation);

    private static string Entities(IReadOnlyList<Entity> entities)
    {
        using MemoryStream text = new();
        using (Utf8JsonWriter json = new(text, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartArray();
            foreach (Entity entity in entities)
                entity.WriteTo(json);
            json.WriteEndArray();
        }
        return Encoding.UTF8.GetString(text.ToArray());
    }

    /// <summary>A text at a time.</summary>
    private sealed class EachTask(IReadOnlyList<CorpusColumn> columns, Func<string, CancellationToken, object?[]> work) : CorpusTask
    {
        public override IReadOnlyList<CorpusColumn> Columns => columns;

        private protected override IEnumerable<(int Index, object?[] Values, int Tokens)> Call(IReadOnlyList<string> texts,
            CancellationToken cancellation)
        {
            for (int i = 0; i < texts.Count; i++)
                yield return (i, work(texts[i], cancellation), 0);
        }
    }

    private sealed class SummarizeTask(Summarizer summarizer, GenerationOptions generation, TaskOptions options) : CorpusTask
    {
        private readonly bool _several = generation.NBest > 1;

        // A limit of time is each text's own.
        private readonly TaskOptions _options = generation.MaxTime is null ? options : options with { TokensPerBatch = 1 };

        public override IReadOnlyList<CorpusColumn> Columns => _several
            ? [new("summary", typeof(string)), new("summaries", typeof(string[])), new("scores", typeof(float[]))]
            : [new("summary", typeof(string))];

        private protected override IEnumerable<(int Index, object?[] Values, int Tokens)> Call(IReadOnlyList<string> texts,
            CancellationToken cancellation) =>
            summarizer.Summarize(texts, generation, _options, cancellation: cancellation).Select((all, i) => (i, Values(all), all[0].DocumentTokens));

        private object?[] Values(IReadOnlyList<Summary> all) => _several
            ? [all[0].Text, all.Select(s => s.Text).ToArray(), all.Select(s => (float)s.Sequence.Score).ToArray()]
            : [all[0].Text];
    }

    private sealed class EncodeTask(DocumentEncoder encoder, Pooling? pooling, EmbeddingOptions? options) : CorpusTask
    {
        public override IReadOnlyList<CorpusColumn> Columns { get; } = [new("embedding", typeof(float[])), new("tokens", typeof(int))];

        private protected override IEnumerable<(int Index, object?[] Values, int Tokens)> Call(IReadOnlyList<string> texts,
            CancellationToken cancellation) =>
            encoder.EncodeEach(texts, pooling, options, cancellation: cancellation).Select(e => (e.Index, (object?[])[e.Values, e.Tokens], e.Tokens));
    }

    private sealed class ClassifyTask(TextClassifier classifier, TaskOptions? options) : CorpusTask
    {
        public override IReadOnlyList<CorpusColumn> Columns { get; } =
            [new("label", typeof(string)), new("score", typeof(float)), new("labels", typeof(string[])), new("scores", typeof(float[]))];

        private protected override IEnumerable<(int Index, object?[] Values, int Tokens)> Call(IReadOnlyList<string> texts,
            CancellationToken cancellation)
        {
            Counter tokens = new();
            IReadOnlyList<IReadOnlyList<LabelScore>> results = classifier.Classify(texts, options, tokens, cancellation);
            for (int i = 0; i < results.Count; i++)
            {
                string[] labels = [.. results[i].Select(l => l.Label)];
                float[] scores = [.. results[i].Select(l => l.Score)];
                yield return (i, [labels[0], scores[0], labels, scores], i == 0 ? (int)tokens.Tokens : 0);
            }
        }

        private sealed class Counter : IProgress<TaskProgress>
        {
            public long Tokens { get; private set; }

            public void Report(TaskProgress value) => Tokens = value.Tokens;
        }
    }
}
