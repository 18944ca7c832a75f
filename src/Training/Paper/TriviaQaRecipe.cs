using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// TriviaQA's Wikipedia domain, from its official files: one example for each question and page, all places of all aliases as gold answers (the OR
/// loss over all windows of the page together), the question global. The answer of a question is the best span over the windows of all its pages;
/// the numbers are those of the official script.
/// </summary>
public sealed class TriviaQaRecipe : Recipe
{
    private const int MaxQuestionTokens = 55, MaxAnswers = 64, Best = 20;
    private const double NoScore = -1e6;
    private const string NoAnswer = "NoAnswerFound";

    internal TriviaQaRecipe(RecipeOptions options) : base(options)
    {
        if (options.Stride < 0)
            throw new InputException($"stride: expected 0 or more, given {options.Stride}");
        if (options.MaxAnswerTokens < 1)
            throw new InputException($"longest answer: expected 1 token or more, given {options.MaxAnswerTokens}");
        if (options.MaxDocumentTokens < 1)
            throw new InputException($"tokens of a document: expected 1 or more, given {options.MaxDocumentTokens}");
    }

    /// <inheritdoc/>
    public override string Name => "triviaqa";

    /// <inheritdoc/>
    public override string Title => "TriviaQA, Wikipedia";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForQuestionAnswering";

    /// <inheritdoc/>
    public override string BestMetric => "f1";

    internal override IEnumerable<object?> DataSettings =>
        [.. base.DataSettings, Options.Evidence, Options.MaxDocumentTokens, Options.FirstWindowOnly];

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names) => PaperInputs.FindNamed(names);

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation) =>
        TriviaQaFiles.Read(files, Options.Evidence, cancellation);

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        (int begin, int end) = PaperInputs.Frame(text);
        foreach (DataRow row in rows)
        {
            if (!forEvaluation && !row.Has(TriviaQaFiles.Aliases))
                throw new InputException($"{row.Source}: expected an \"Answer\" to learn from, given none");
            string[] aliases = row.Has(TriviaQaFiles.Aliases) ? row.Texts(TriviaQaFiles.Aliases) : [];
            int[] question = PaperInputs.Plain(text, row.Text(TriviaQaFiles.Question), leadingSpace: false);
            question = question[..Math.Min(question.Length, MaxQuestionTokens)];
            // The places of [CLS], [SEP] and [SEP].
            int room = text.MaxTokens - question.Length - 3;
            if (room < 1)
                throw new InputException($"{row.Source}: a question of {question.Length} tokens leaves no room for a page in {text.MaxTokens}");
            if (!forEvaluation && !row.Has(TriviaQaFiles.Page))
                continue;
            Document document = Read(row, text, aliases);
            List<int> ids = [], lengths = [], globals = [], starts = [], ends = [];
            int step = Options.FirstWindowOnly ? int.MaxValue : Math.Max(1, room - Options.Stride), from = 0;
            do
            {
                int count = Math.Min(room, document.Ids.Length - from), offset = ids.Count + question.Length + 2 - from;
                globals.AddRange(Enumerable.Range(ids.Count, question.Length + 1));
                foreach ((int first, int last) in document.Spans.Where(s => s.First >= from && s.Last < from + count).Take(MaxAnswers))
                {
                    starts.Add(first + offset);
                    ends.Add(last + offset);
                }
                ids.AddRange([begin, .. question, end, .. document.Ids[from..(from + count)], end]);
                lengths.Add(question.Length + count + 3);
                from = from + count == document.Ids.Length ? int.MaxValue : step == int.MaxValue ? step : from + step;
            }
            while (from < document.Ids.Length);
            yield return new TrainingExample
            {
                Ids = [.. ids], Lengths = [.. lengths], Globals = PaperInputs.Globals(Options, globals), Starts = [.. starts], Ends = [.. ends],
                Source = row.Source, Notes = forEvaluation ? Notes(row, question.Length) : null,
            };
        }
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(text);
        SpanHead head = (SpanHead)call.Head;
        (double loss, long count) = (0, 0);
        Dictionary<string, Given> answers = new(StringComparer.Ordinal);
        Dictionary<string, IReadOnlyList<string>> truths = new(StringComparer.Ordinal);
        foreach (TrainingExample[] batch in call.Batches())
        {
            using TensorScope scope = new();
            (Tensor start, Tensor end) = head.Logits(batch, null, call.Cancellation);
            loss += SpanHead.Loss(start, end, batch).ToDouble();
            count += batch.Length;
            float[] starts = TextInputs.ToFloats(start), ends = TextInputs.ToFloats(end);
            int from = 0;
            foreach (TrainingExample example in batch)
            {
                JsonElement notes = NotesOf(example);
                string id = notes.GetProperty("id").GetString()!, page = notes.GetProperty("page").GetString()!;
                string[] own = [.. notes.GetProperty("truths").EnumerateArray().Select(t => t.GetString()!)];
                if (own.Length > 0)
                    truths[id] = own;
                int behind = notes.GetProperty("question_tokens").GetInt32() + 2;
                Given best = answers.GetValueOrDefault(id) ?? new Given(NoAnswer, NoScore, page);
                int window = 0;
                foreach (int length in example.Lengths!)
                {
                    // A window without a word of a page has nothing but its last token behind the question.
                    if (length > behind + 1
                        && BestSpan(starts.AsSpan(from, length), ends.AsSpan(from, length), behind, Options.MaxAnswerTokens) is { } span
                        && span.Score > best.Score)
                    {
                        string words = text.Tokenizer.Decode(example.Ids.AsSpan(window + span.Start, span.End + 1 - span.Start), true).Trim();
                        best = new Given(words, span.Score, page);
                    }
                    (from, window) = (from + length, window + length);
                }
                answers[id] = best;
            }
        }
        Dictionary<string, double> metrics = new() { ["questions"] = answers.Count };
        if (truths.Count > 0)
        {
            TriviaQaScores scores = TriviaQaScorer.Score(truths, answers.ToDictionary(a => a.Key, a => a.Value.Text));
            (metrics["loss"], metrics["exact_match"], metrics["f1"]) = (loss / count, scores.ExactMatch, scores.F1);
        }
        return new Evaluation(metrics, [.. answers.Select(a => Json(json =>
        {
            json.WriteString("id", a.Key);
            json.WriteString("answer", a.Value.Text);
            json.WriteNumber("score", a.Value.Score);
            json.WriteString("page", a.Value.Page);
        }))])
        {
            OfficialFile = Json(json =>
            {
                foreach ((string id, Given answer) in answers)
                    json.WriteString(id, answer.Text);
            }) + "\n",
        };
    }

    /// <summary>The best span as the paper's script finds it: of the 20 best first and the 20 best last tokens, behind the question.</summary>
    /// <param name="starts">Scores of a window.</param>
    /// <param name="ends">The same.</param>
    /// <param name="behind">The first token that counts.</param>
    /// <param name="longest">In tokens.</param>
    /// <returns>Null where no pair fits.</returns>
    internal static (int Start, int End, double Score)? BestSpan(ReadOnlySpan<float> starts, ReadOnlySpan<float> ends, int behind, int longest)
    {
        (int Start, int End, double Score)? best = null;
        int[] lasts = Top(ends);
        foreach (int start in Top(starts).Where(s => s >= behind))
        {
            foreach (int end in lasts)
            {
                double score = (double)starts[start] + ends[end];
                if (end >= start && end - start < longest && (best is null || score > best.Value.Score))
                    best = (start, end, score);
            }
        }
        return best;
    }

    private static int[] Top(ReadOnlySpan<float> scores)
    {
        float[] values = scores.ToArray();
        return [.. Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]).Take(Best)];
    }

    /// <summary>A page as tokens, with the gold answers in it. A word's tokens are those that the text with one space before each word
    /// gives.</summary>
    private Document Read(DataRow row, ExampleText text, string[] aliases)
    {
        string converted = TriviaQaFiles.Convert(TriviaQaFiles.PageOf(row), Options.MaxDocumentTokens);
        // Words as the script splits them; each character's word.
        List<string> words = [];
        int[] wordOf = new int[converted.Length];
        bool isInside = false;
        System.Text.StringBuilder joined = new(converted.Length);
        List<int> wordAt = [];
        for (int i = 0; i < converted.Length; i++)
        {
            bool isSpace = converted[i] is ' ' or '\t' or '\r' or '\n' or '\u202F';
            if (!isSpace && !isInside)
            {
                if (wordAt.Count > 0)
                    joined.Append(' ');
                wordAt.Add(joined.Length);
            }
            if (!isSpace)
                joined.Append(converted[i]);
            isInside = !isSpace;
            wordOf[i] = wordAt.Count - 1;
        }
        Encoding encoding = PaperInputs.Encode(text, joined.ToString(), leadingSpace: false);
        // The first token of every word; one without a token has that of the next.
        int[] firstToken = new int[wordAt.Count + 1];
        int token = 0;
        for (int word = 0; word < wordAt.Count; word++)
        {
            while (token < encoding.Count && encoding.Offsets.Span[token].End <= wordAt[word])
                token++;
            firstToken[word] = token;
        }
        firstToken[wordAt.Count] = encoding.Count;
        IEnumerable<(int First, int Last)> spans = TriviaQaFiles.Places(converted, aliases)
            .Select(place => (First: firstToken[Math.Max(0, wordOf[place.Start])], Last: firstToken[wordOf[place.End - 1] + 1] - 1))
            .Where(span => span.Last >= span.First);
        int kept = Math.Min(encoding.Count, Options.MaxDocumentTokens);
        return new Document(encoding.Ids.Span[..kept].ToArray(), [.. spans.Where(s => s.Last < kept)]);
    }

    private static string Notes(DataRow row, int questionTokens) => Json(json =>
    {
        json.WriteString("id", row.Text(TriviaQaFiles.Id));
        json.WriteString("page", row.Has(TriviaQaFiles.Page) ? row.Text(TriviaQaFiles.Page) : "");
        json.WriteNumber("question_tokens", questionTokens);
        json.WriteStartArray("truths");
        string[] aliases = row.Has(TriviaQaFiles.Aliases) ? row.Texts(TriviaQaFiles.Aliases) : [];
        foreach (string truth in aliases.Concat(row.Texts(TriviaQaFiles.HumanAnswers)))
            json.WriteStringValue(truth);
        json.WriteEndArray();
    });

    private sealed record Document(int[] Ids, (int First, int Last)[] Spans);

    private sealed record Given(string Text, double Score, string Page);
}
