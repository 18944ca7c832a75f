using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// WikiHop, from qangaroo's <c>train.json</c> and <c>dev.json</c>: question and candidates between markers in front, the supports behind, and a score
/// for each candidate from the marker in front of it. Question and candidates are global. Supports that are too long go into several chunks, each
/// with the question and the candidates in front; a candidate's scores are averaged. Candidates and supports are shuffled in every pass.
/// </summary>
public sealed class WikiHopRecipe : Recipe
{
    private static readonly (string From, string To)[] Replacements =
        [(" .", "."), (" ,", ","), (" !", "!"), (" ?", "?"), ("( ", "("), (" )", ")"), (" 's", "'s")];

    private const string Question = "[question]", QuestionEnd = "[/question]", Candidate = "[ent]", CandidateEnd = "[/ent]";

    internal WikiHopRecipe(RecipeOptions options) : base(options)
    {
    }

    /// <inheritdoc/>
    public override string Name => "wikihop";

    /// <inheritdoc/>
    public override string Title => "WikiHop";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForCandidateScoring";

    /// <inheritdoc/>
    public override string BestMetric => "accuracy";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Markers => [Question, QuestionEnd, Candidate, CandidateEnd];

    internal override IEnumerable<object?> DataSettings => [.. base.DataSettings, Options.FirstChunkOnly];

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names) => PaperInputs.FindNamed(names);

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation) =>
        files.SelectMany(file => JsonRecords.Read(file, null, cancellation));

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        MarkerIds ids = new(text);
        return rows.Select(row =>
        {
            string[] candidates = row.Texts("candidates"), supports = row.Texts("supports");
            if (candidates.Length == 0 || supports.Length == 0)
            {
                throw new InputException($"{row.Source}: expected at least one of {(candidates.Length == 0 ? "candidates" : "supports")}, "
                    + "given none");
            }
            int right = row.Has("answer") ? RightOf(row, candidates) : -1;
            if (right < 0 && !forEvaluation)
                throw new InputException($"{row.Source}: expected an \"answer\" to learn from, given none");
            Parts parts = new(Tokens(row.Text("query")), [.. candidates.Select(Tokens)], [.. supports.Select(Tokens)]);
            return Assemble(parts, ids, text, row.Source) with
            {
                Labels = [right],
                Source = row.Source,
                Notes = forEvaluation ? Notes(row, candidates) : null,
            };
        });

        int[] Tokens(string content) => PaperInputs.Plain(text, Clean(content), leadingSpace: true);
    }

    /// <inheritdoc/>
    public override TrainingExample ForPass(TrainingExample example, ExampleText text, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(example);
        ArgumentNullException.ThrowIfNull(text);
        MarkerIds ids = new(text);
        Parts parts = Disassemble(example, ids);
        int[] order = Mixing.Order(parts.Candidates.Length, (long)(seed >> 1), 1),
            documents = Mixing.Order(parts.Supports.Length, (long)(seed >> 1), 2);
        Parts shuffled = parts with
        {
            Candidates = Array.ConvertAll(order, i => parts.Candidates[i]), Supports = Array.ConvertAll(documents, i => parts.Supports[i]),
        };
        return Assemble(shuffled, ids, text, example.Source) with
        {
            Labels = [Array.IndexOf(order, example.Labels![0])], Source = example.Source, Notes = example.Notes,
        };
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        CandidateHead head = (CandidateHead)call.Head;
        (double loss, int known, int correct) = (0, 0, 0);
        List<string> predictions = [];
        Dictionary<string, string> answers = new(StringComparer.Ordinal);
        foreach (TrainingExample[] batch in call.Batches())
        {
            using TensorScope scope = new();
            IReadOnlyList<Tensor> logits = head.Logits(batch, null, call.Cancellation);
            for (int i = 0; i < batch.Length; i++)
            {
                float[] scores = TextInputs.ToFloats(logits[i]);
                int chosen = Array.IndexOf(scores, scores.Max()), right = batch[i].Labels![0];
                if (right >= 0)
                {
                    loss += head.Loss([logits[i]], [batch[i]]).ToDouble();
                    correct += chosen == right ? 1 : 0;
                    known++;
                }
                JsonElement notes = NotesOf(batch[i]);
                (string id, string answer) = (notes.GetProperty("id").GetString()!, notes.GetProperty("candidates")[chosen].GetString()!);
                answers[id] = answer;
                predictions.Add(Json(json =>
                {
                    json.WriteString("id", id);
                    json.WriteString("answer", answer);
                    json.WriteStartArray("scores");
                    foreach (float score in scores)
                        json.WriteNumberValue(score);
                    json.WriteEndArray();
                }));
            }
        }
        Dictionary<string, double> metrics = new() { ["questions"] = predictions.Count };
        if (known > 0)
            (metrics["loss"], metrics["accuracy"]) = (loss / known, (double)correct / known);
        return new Evaluation(metrics, predictions)
        {
            OfficialFile = Json(json =>
            {
                foreach ((string id, string answer) in answers)
                    json.WriteString(id, answer);
            }) + "\n",
        };
    }

    /// <summary>A string as allenai's code cleans it: no space before <c>. , ! ? )</c> and <c>'s</c> or behind <c>(</c>, white space
    /// collapsed.</summary>
    internal static string Clean(string text)
    {
        foreach ((string from, string to) in Replacements)
            text = text.Replace(from, to, StringComparison.Ordinal);
        return string.Join(' ', Metrics.PythonText.Split(text));
    }

    private static int RightOf(DataRow row, string[] candidates)
    {
        string answer = row.Text("answer");
        int right = Array.IndexOf(candidates, answer);
        if (right < 0)
            right = Array.FindIndex(candidates, c => Clean(c) == Clean(answer));
        return right >= 0 ? right : throw new InputException($"{row.Source}: expected the answer among the {candidates.Length} candidates, given "
            + $"\"{answer}\"");
    }

    private static string Notes(DataRow row, string[] candidates) => Json(json =>
    {
        json.WriteString("id", row.Text("id"));
        json.WriteStartArray("candidates");
        foreach (string candidate in candidates)
            json.WriteStringValue(candidate);
        json.WriteEndArray();
    });

    private TrainingExample Assemble(Parts parts, MarkerIds ids, ExampleText text, string source)
    {
        List<int> front = [ids.Begin, ids.Question, .. parts.Question, ids.QuestionEnd], starts = [], ends = [], supports = [];
        foreach (int[] candidate in parts.Candidates)
        {
            starts.Add(front.Count);
            front.Add(ids.Candidate);
            front.AddRange(candidate);
            ends.Add(front.Count);
            front.Add(ids.CandidateEnd);
        }
        foreach (int[] support in parts.Supports)
            supports.AddRange([ids.Separator, .. support, ids.Separator]);
        int room = text.MaxTokens - front.Count;
        if (room < 1)
        {
            throw new InputException($"{source}: the question and its {parts.Candidates.Length} candidates take {front.Count} tokens, which leaves "
                + $"no room for supports in {text.MaxTokens}");
        }
        int chunks = Options.FirstChunkOnly ? 1 : (supports.Count + room - 1) / room;
        List<int> all = [], lengths = [], globals = [];
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            int from = chunk * room, count = Math.Min(room, supports.Count - from);
            globals.AddRange(Enumerable.Range(all.Count, front.Count));
            all.AddRange(front);
            all.AddRange(supports[from..(from + count)]);
            lengths.Add(front.Count + count);
        }
        return new TrainingExample
        {
            Ids = [.. all], Lengths = [.. lengths], Globals = PaperInputs.Globals(Options, globals), Starts = [.. starts], Ends = [.. ends],
        };
    }

    /// <summary>The parts of an example: of a cut one those that are left.</summary>
    private static Parts Disassemble(TrainingExample example, MarkerIds ids)
    {
        (int[] starts, int[] ends) = (example.Starts!, example.Ends!);
        int front = ends[^1] + 1, from = 0;
        List<int> behind = [];
        foreach (int length in example.Lengths!)
        {
            behind.AddRange(example.Ids[(from + front)..(from + length)]);
            from += length;
        }
        List<int[]> supports = [];
        // Every support has a separator on both sides; the last one of a cut example may lack its second.
        for (int at = 0; at < behind.Count;)
        {
            int end = behind.IndexOf(ids.Separator, at + 1);
            end = end < 0 ? behind.Count : end;
            supports.Add([.. behind[(at + 1)..end]]);
            at = end + 1;
        }
        return new Parts(example.Ids[2..(starts[0] - 1)], [.. starts.Zip(ends, (s, e) => example.Ids[(s + 1)..e])], [.. supports]);
    }

    private sealed record Parts(int[] Question, int[][] Candidates, int[][] Supports);

    private sealed record MarkerIds(int Begin, int Separator, int Question, int QuestionEnd, int Candidate, int CandidateEnd)
    {
        public MarkerIds(ExampleText text) : this(PaperInputs.Frame(text).Begin, PaperInputs.Frame(text).End,
            PaperInputs.IdOf(text, WikiHopRecipe.Question), PaperInputs.IdOf(text, WikiHopRecipe.QuestionEnd),
            PaperInputs.IdOf(text, WikiHopRecipe.Candidate), PaperInputs.IdOf(text, WikiHopRecipe.CandidateEnd))
        {
        }
    }
}
