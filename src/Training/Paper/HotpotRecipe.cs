using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// HotpotQA's distractor setting, from <c>hotpot_train_v1.1.json</c> and <c>hotpot_dev_distractor_v1.json</c> to the official joint F1. The paper
/// trains twice: the model of the first stage shortens every question to its best paragraphs (<see cref="Evaluation.ShortenedFile"/>), on which that
/// of the second is trained and measured.
/// </summary>
public sealed class HotpotRecipe : Recipe
{
    // Of the paper: paragraphs that the first stage keeps. At least two hold the facts.
    private const int MostKept = 5, FewestKept = 2;
    private const double LeastScore = -3;
    private const int FactParagraphs = 2;

    internal HotpotRecipe(RecipeOptions options) : base(options)
    {
        if (options.MaxAnswerTokens < 1)
            throw new InputException($"longest answer: expected 1 token or more, given {options.MaxAnswerTokens}");
    }

    /// <inheritdoc/>
    public override string Name => "hotpotqa";

    /// <inheritdoc/>
    public override string Title => "HotpotQA";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForHotpotQA";

    /// <inheritdoc/>
    public override string BestMetric => "joint_f1";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Markers =>
        [HotpotInput.Question, HotpotInput.QuestionEnd, HotpotInput.Title, HotpotInput.TitleEnd, HotpotInput.Sentence];

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names) => PaperInputs.FindNamed(names);

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation) =>
        files.SelectMany(file => JsonRecords.Read(file, null, cancellation));

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        return rows.Select(row =>
        {
            HotpotQuestion question = HotpotQuestion.Of(row);
            if (!forEvaluation && (question.Answer is null || question.Facts.Count == 0))
                throw new InputException($"{row.Source}: expected an \"answer\" and \"supporting_facts\" to learn from, given none");
            return Example(question, Input(question, text), row, forEvaluation);
        });
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(text);
        HotpotHead head = (HotpotHead)call.Head;
        (double loss, int count) = (0, 0);
        Dictionary<string, HotpotAnswer> gold = new(StringComparer.Ordinal), given = new(StringComparer.Ordinal);
        List<string> predictions = [], shortened = [];
        foreach (TrainingExample example in call.Batches().SelectMany(batch => batch))
        {
            using TensorScope scope = new();
            DataRow row = JsonRows.Row(example.Source, System.Text.Encoding.UTF8.GetBytes(example.Notes
                ?? throw new InputException($"{example.Source}: the example was not made for an evaluation")));
            HotpotQuestion question = HotpotQuestion.Of(row);
            HotpotInput input = Input(question, text);
            HotpotOutputs outputs = head.Forward(example, null, call.Cancellation);
            if (question.Answer is not null)
            {
                loss += HotpotHead.Loss(outputs, example).ToDouble();
                count++;
                gold[question.Id] = new HotpotAnswer(question.Answer, question.Facts);
            }
            HotpotPrediction prediction = Decode(question, input, outputs, Options.MaxAnswerTokens);
            given[question.Id] = new HotpotAnswer(prediction.Answer, prediction.Facts);
            predictions.Add(Json(json => prediction.Write(json)));
            shortened.Add(Shorten(row, question, prediction, Options.KeepsGoldParagraphs));
        }
        Dictionary<string, double> metrics = new() { ["questions"] = given.Count };
        if (count > 0)
        {
            HotpotScores scores = HotpotScorer.Score(gold, given);
            metrics["loss"] = loss / count;
            foreach ((string prefix, HotpotValues values) in ((string, HotpotValues)[])
                [("", scores.Answer), ("sp_", scores.Facts), ("joint_", scores.Joint)])
            {
                (metrics[prefix + "em"], metrics[prefix + "f1"]) = (values.Exact, values.F1);
                (metrics[prefix + "prec"], metrics[prefix + "recall"]) = (values.Precision, values.Recall);
            }
        }
        return new Evaluation(metrics, predictions)
        {
            OfficialFile = OfficialFile(given), ShortenedFile = $"[{string.Join(",\n", shortened)}]\n",
        };
    }

    /// <summary>The prediction of one question: the type's word or the best span inside of a paragraph; the facts from two paragraphs.</summary>
    internal static HotpotPrediction Decode(HotpotQuestion question, HotpotInput input, HotpotOutputs outputs, int maxAnswerTokens)
    {
        float[] paragraphs = TextInputs.ToFloats(outputs.ParagraphLogits), sentences = TextInputs.ToFloats(outputs.SentenceLogits);
        float[] starts = TextInputs.ToFloats(outputs.StartLogits), ends = TextInputs.ToFloats(outputs.EndLogits);
        float[] types = TextInputs.ToFloats(outputs.TypeLogits);
        HotpotAnswerType type = (HotpotAnswerType)Array.IndexOf(types, types.Max());
        (int first, int last) = BestSpan(input, starts, ends, maxAnswerTokens);
        string answer = type == HotpotAnswerType.Yes ? "yes" : type == HotpotAnswerType.No ? "no"
            : first < 0 ? "" : input.TextOf(question, first, last);
        double[] scores = [.. question.Paragraphs.Select(_ => double.NegativeInfinity)];
        for (int i = 0; i < paragraphs.Length; i++)
            scores[input.Paragraphs[i].Paragraph] = paragraphs[i];
        List<SupportingFact> facts = [];
        foreach (int p in Enumerable.Range(0, scores.Length).OrderByDescending(p => scores[p]).Take(FactParagraphs).Order())
        {
            (int Sentence, float Score)[] inside = [.. Enumerable.Range(0, sentences.Length).Where(i => input.Sentences[i].Paragraph == p)
                .Select(i => (input.Sentences[i].Sentence, sentences[i]))];
            float best = inside.Length == 0 ? 0 : inside.Max(s => s.Score);
            facts.AddRange(inside.Where(s => s.Score > 0 || s.Score == best)
                .Select(s => new SupportingFact(question.Paragraphs[p].Title, s.Sentence)));
        }
        return new HotpotPrediction(question.Id, answer, type, facts, scores);
    }

    private static (int First, int Last) BestSpan(HotpotInput input, float[] starts, float[] ends, int most)
    {
        (int First, int Last) best = (-1, -1);
        float score = float.NegativeInfinity;
        for (int first = 0; first < starts.Length; first++)
        {
            HotpotInput.Piece piece = input.Pieces[first];
            if (piece.Paragraph < 0)
                continue;
            for (int last = first; last < Math.Min(first + most, ends.Length); last++)
            {
                HotpotInput.Piece end = input.Pieces[last];
                // A marker in between is passed over; another paragraph or the way from title to text ends the search.
                if (end.Paragraph < 0)
                    continue;
                if (end.Paragraph != piece.Paragraph || end.IsTitle != piece.IsTitle)
                    break;
                if (starts[first] + ends[last] > score)
                    (best, score) = ((first, last), starts[first] + ends[last]);
            }
        }
        return best;
    }

    private static HotpotInput Input(HotpotQuestion question, ExampleText text) =>
        HotpotInput.Of(question, text, PaperInputs.Frame(text), token => PaperInputs.IdOf(text, token));

    private TrainingExample Example(HotpotQuestion question, HotpotInput input, DataRow row, bool forEvaluation)
    {
        HashSet<SupportingFact> facts = [.. question.Facts];
        HashSet<string> titles = [.. question.Facts.Select(f => f.Title)];
        HotpotAnswerType type = question.Answer switch
        {
            "yes" => HotpotAnswerType.Yes, "no" => HotpotAnswerType.No, _ => HotpotAnswerType.Span,
        };
        bool IsGold(int p) => titles.Contains(question.Paragraphs[p].Title);
        List<(int First, int Last)> places = type != HotpotAnswerType.Span || question.Answer is null ? []
            : input.Find(question, question.Answer, IsGold);
        return new TrainingExample
        {
            Ids = input.Ids,
            Globals = PaperInputs.Globals(Options, input.Globals),
            Labels = new HotpotLabels(type, [.. input.Paragraphs.Select(p => new HotpotMarker(p.Token, IsGold(p.Paragraph)))],
                [.. input.Sentences.Select(s => new HotpotMarker(s.Token,
                    facts.Contains(new SupportingFact(question.Paragraphs[s.Paragraph].Title, s.Sentence))))]).ToNumbers(),
            Starts = [.. places.Select(p => p.First)],
            Ends = [.. places.Select(p => p.Last)],
            Source = row.Source,
            Notes = forEvaluation ? Json(json => Write(json, question, row, _ => true)) : null,
        };
    }

    /// <summary>The question with the paragraphs that the first stage keeps: the best with a score above -3, at least two, at most five.</summary>
    private static string Shorten(DataRow row, HotpotQuestion question, HotpotPrediction prediction, bool keepsGold)
    {
        HashSet<string> titles = [.. question.Facts.Select(f => f.Title)];
        HashSet<int> kept = [];
        foreach ((int p, int place) in Enumerable.Range(0, question.Paragraphs.Count).OrderByDescending(p => prediction.ParagraphScores[p])
            .Select((p, place) => (p, place)))
        {
            if (place < FewestKept || (place < MostKept && prediction.ParagraphScores[p] > LeastScore)
                || (keepsGold && titles.Contains(question.Paragraphs[p].Title)))
            {
                kept.Add(p);
            }
        }
        return Json(json => Write(json, question, row, kept.Contains));
    }

    /// <summary>A record of the official format with some of its paragraphs.</summary>
    private static void Write(Utf8JsonWriter json, HotpotQuestion question, DataRow row, Func<int, bool> keeps)
    {
        json.WriteString("_id", question.Id);
        json.WriteString("question", question.Question);
        foreach (string name in (string[])["answer", "type", "level"])
        {
            if (row.Has(name))
                json.WriteString(name, row.Text(name));
        }
        if (row.Has("supporting_facts"))
            WriteFacts(json, "supporting_facts", question.Facts);
        json.WriteStartArray("context");
        foreach (HotpotParagraph paragraph in question.Paragraphs.Where((_, p) => keeps(p)))
        {
            json.WriteStartArray();
            json.WriteStringValue(paragraph.Title);
            json.WriteStartArray();
            foreach (string sentence in paragraph.Sentences)
                json.WriteStringValue(sentence);
            json.WriteEndArray();
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    internal static void WriteFacts(Utf8JsonWriter json, string name, IEnumerable<SupportingFact> facts)
    {
        json.WriteStartArray(name);
        foreach (SupportingFact fact in facts)
        {
            json.WriteStartArray();
            json.WriteStringValue(fact.Title);
            json.WriteNumberValue(fact.Sentence);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static string OfficialFile(Dictionary<string, HotpotAnswer> given) => Json(json =>
    {
        json.WriteStartObject("answer");
        foreach ((string id, HotpotAnswer answer) in given)
            json.WriteString(id, answer.Answer);
        json.WriteEndObject();
        json.WriteStartObject("sp");
        foreach ((string id, HotpotAnswer answer) in given)
            WriteFacts(json, id, answer.Facts!);
        json.WriteEndObject();
    }) + "\n";
}
