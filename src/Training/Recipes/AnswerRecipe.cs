using System.Text.Json;
using LongformerInterop.Tasks.Answering;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Recipes;

/// <summary>
/// Extractive question answering: <c>question</c>, <c>context</c> and <c>answers</c>: SQuAD's records (<c>text</c>, <c>answer_start</c> in code
/// points), or texts, of which then every place in the context counts (the OR loss). None: the question has no answer. A long context is read in
/// windows that share some tokens.
/// </summary>
public sealed class AnswerRecipe : Recipe
{
    internal AnswerRecipe(RecipeOptions options) : base(options)
    {
        if (options.Stride < 0)
            throw new InputException($"stride: expected 0 or more, given {options.Stride}");
        if (options.MaxAnswerTokens < 1)
            throw new InputException($"longest answer: expected 1 token or more, given {options.MaxAnswerTokens}");
    }

    /// <inheritdoc/>
    public override string Name => "answer";

    /// <inheritdoc/>
    public override string Title => "Extractive question answering";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForQuestionAnswering";

    /// <inheritdoc/>
    public override string BestMetric => "f1";

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        int number = 0;
        foreach (DataRow row in rows)
        {
            string question = row.Text(Column(row, "question", "query")).Trim(),
                context = row.Text(Column(row, "context", "document", "text", "passage"));
            if (question.Length == 0)
                throw new InputException($"{row.Source}: the question is empty");
            (string[] answers, List<(int Start, int End)> places) = Answers(row, context);
            string id = OptionalColumn(row, "id") is { } column ? row.Text(column)
                : number.ToString(System.Globalization.CultureInfo.InvariantCulture);
            number++;
            bool first = true;
            foreach (Encoding window in text.Windows(question, context, Options.Stride, row.Source))
            {
                (int Start, int End)[] spans = [.. places.Select(place => TokensOf(window, place)).OfType<(int, int)>()];
                if (spans.Length == 0 && Options.FirstTokenIsNoAnswer)
                    spans = [(0, 0)];
                yield return new TrainingExample
                {
                    Ids = window.Ids.ToArray(),
                    Starts = [.. spans.Select(s => s.Start)],
                    Ends = [.. spans.Select(s => s.End)],
                    Source = row.Source,
                    Notes = forEvaluation ? Notes(id, answers, first ? context : null, window) : null,
                };
                first = false;
            }
        }
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        SpanHead head = (SpanHead)call.Head;
        (double loss, long count) = (0, 0);
        List<Question> questions = [];
        foreach (TrainingExample[] batch in call.Batches())
        {
            using TensorScope scope = new();
            (Tensor start, Tensor end) = head.Logits(batch, null, call.Cancellation);
            loss += SpanHead.Loss(start, end, batch).ToDouble();
            count += batch.Length;
            float[] starts = Tasks.TextInputs.ToFloats(start), ends = Tasks.TextInputs.ToFloats(end);
            int from = 0;
            foreach (TrainingExample example in batch)
            {
                Add(questions, NotesOf(example), starts.AsSpan(from, example.Ids.Length), ends.AsSpan(from, example.Ids.Length));
                from += example.Ids.Length;
            }
        }
        bool some = questions.Any(q => q.Answers.Length == 0);
        foreach (Question question in questions)
            question.Given = some && question.None > question.Best ? "" : question.Text;
        SquadScores scores = SquadScorer.Score(
            questions.ToDictionary(q => q.Id, q => (IReadOnlyList<string>)q.Answers), questions.ToDictionary(q => q.Id, q => q.Given));
        Dictionary<string, double> metrics = new() { ["loss"] = loss / count, ["exact_match"] = scores.All.Exact, ["f1"] = scores.All.F1,
            ["questions"] = scores.All.Total };
        if (some)
        {
            (metrics["exact_match_with_answer"], metrics["f1_with_answer"]) = (scores.HasAnswer.Exact, scores.HasAnswer.F1);
            metrics["accuracy_without_answer"] = scores.NoAnswer.Exact;
        }
        return new Evaluation(metrics, [.. questions.Select(q => Json(json =>
        {
            json.WriteString("id", q.Id);
            json.WriteString("answer", q.Given);
            if (double.IsFinite(q.Best))
                json.WriteNumber("score", q.Best);
            json.WriteNumber("no_answer_score", q.None);
        }))]);
    }

    private void Add(List<Question> questions, JsonElement notes, ReadOnlySpan<float> starts, ReadOnlySpan<float> ends)
    {
        string id = notes.GetProperty("id").GetString()!;
        if (notes.TryGetProperty("context", out JsonElement context))
            questions.Add(new Question(id, [.. notes.GetProperty("answers").EnumerateArray().Select(a => a.GetString()!)], context.GetString()!));
        Question question = questions[^1];
        int[] offsets = [.. notes.GetProperty("offsets").EnumerateArray().Select(o => o.GetInt32())];
        bool[] allowed = [.. Enumerable.Range(0, starts.Length).Select(i => offsets[(2 * i) + 1] > offsets[2 * i])];
        question.None = Math.Min(question.None, (double)starts[0] + ends[0]);
        foreach (TokenSpan span in SpanSearch.Best(starts, ends, allowed, 1, Options.MaxAnswerTokens))
        {
            if (span.Logit <= question.Best)
                continue;
            question.Best = span.Logit;
            question.Text = question.Context[offsets[2 * span.Start]..offsets[(2 * span.End) + 1]];
        }
    }

    private static string Notes(string id, string[] answers, string? context, Encoding window) => Json(json =>
    {
        json.WriteString("id", id);
        if (context is not null)
        {
            json.WriteString("context", context);
            json.WriteStartArray("answers");
            foreach (string answer in answers)
                json.WriteStringValue(answer);
            json.WriteEndArray();
        }
        json.WriteStartArray("offsets");
        for (int i = 0; i < window.Count; i++)
        {
            // Only tokens of the context may begin or end an answer.
            TextRange range = window.SequenceIds.Span[i] == 1 ? window.Offsets.Span[i] : default;
            json.WriteNumberValue(range.Start);
            json.WriteNumberValue(range.End);
        }
        json.WriteEndArray();
    });

    /// <summary>The gold answers, and where they are in the context.</summary>
    private (string[] Texts, List<(int Start, int End)> Places) Answers(DataRow row, string context)
    {
        string column = Column(row, "answers", "answer");
        if (!row.Has(column))
            return ([], []);
        (string Text, long? Start)[] given = row.Get(column) switch
        {
            IReadOnlyDictionary<string, object?> => Columns(row.Record(column)),
            IReadOnlyList<object?> list when list.Count > 0 && list[0] is IReadOnlyDictionary<string, object?> =>
                [.. row.Records(column).Select(a => (a.Text("text"), a.Has("answer_start") ? a.Integer("answer_start") : (long?)null))],
            IReadOnlyList<object?> => [.. row.Texts(column).Select(t => (t, (long?)null))],
            _ => [(row.Text(column), null)],
        };
        List<(int, int)> places = [];
        foreach ((string text, long? start) in given)
        {
            if (text.Length == 0)
                throw new InputException($"{row.Source}: an answer is empty");
            if (start is { } place)
            {
                int from = CodePoints.ToUtf16(context, place);
                if (from < 0 || string.CompareOrdinal(context, from, text, 0, text.Length) != 0)
                {
                    throw new InputException($"{row.Source}: expected the answer \"{text}\" at character {place} of the context, there is "
                        + $"{Found(context, from, text.Length)}");
                }
                places.Add((from, from + text.Length));
                continue;
            }
            int before = places.Count;
            for (int at = context.IndexOf(text, StringComparison.OrdinalIgnoreCase); at >= 0; at = context.IndexOf(text, at + 1,
                StringComparison.OrdinalIgnoreCase))
            {
                places.Add((at, at + text.Length));
            }
            if (places.Count == before && Options.FirstTokenIsNoAnswer)
                throw new InputException($"{row.Source}: expected the answer \"{text}\" in the context, it is not there");
        }
        return ([.. given.Select(g => g.Text).Distinct()], [.. places.Distinct()]);
    }

    private static (string Text, long? Start)[] Columns(DataRow answers)
    {
        string[] texts = answers.Texts("text");
        IReadOnlyList<object?>? starts = answers.Has("answer_start") ? answers.List("answer_start") : null;
        if (starts is not null && starts.Count != texts.Length)
            throw new InputException($"{answers.Source}: expected a start for each of {texts.Length} answers, given {starts.Count}");
        return [.. texts.Select((t, i) => (t, starts is null ? null : StartOf(t, starts[i])))];

        long? StartOf(string text, object? start) => DataRow.AsInteger(start)
            ?? throw new InputException($"{answers.Source}: expected an integer as the start of the answer \"{text}\"");
    }

    /// <summary>The first and the last token that a stretch of the context touches; null where this window does not hold all of it.</summary>
    private static (int Start, int End)? TokensOf(Encoding window, (int Start, int End) place)
    {
        ReadOnlySpan<TextRange> offsets = window.Offsets.Span;
        ReadOnlySpan<int> sequences = window.SequenceIds.Span;
        (int start, int end) = (-1, -1);
        for (int i = 0; i < offsets.Length; i++)
        {
            if (sequences[i] != 1 || offsets[i].Length == 0 || offsets[i].End <= place.Start || offsets[i].Start >= place.End)
                continue;
            if (start < 0)
                start = i;
            end = i;
        }
        return start < 0 || offsets[start].Start > FirstVisible(place, offsets[start]) || offsets[end].End < place.End - 1 ? null : (start, end);
    }

    // An answer may begin with white space, which no token covers.
    private static int FirstVisible((int Start, int End) place, TextRange range) => Math.Max(place.Start, Math.Min(range.Start, place.Start + 1));

    private static string Found(string context, int from, int length) => from < 0 ? "no such place"
        : $"\"{context.Substring(from, Math.Min(length, context.Length - from))}\"";

    private sealed record Question(string Id, string[] Answers, string Context)
    {
        public double None { get; set; } = double.PositiveInfinity;

        public double Best { get; set; } = double.NegativeInfinity;

        public string Text { get; set; } = "";

        public string Given { get; set; } = "";
    }
}
