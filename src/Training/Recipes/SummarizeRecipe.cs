using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Recipes;

/// <summary>
/// A text from a text, by an LED: <c>document</c> and <c>summary</c>. The decoder is given the target shifted right, as HF does it; the
/// first token of the document is global. An evaluation writes greedily, or by beams, and measures ROUGE without stemming, as the paper's script
/// does.
/// </summary>
public class SummarizeRecipe : Recipe
{
    internal SummarizeRecipe(RecipeOptions options) : base(options)
    {
        if (options.MaxTargetTokens < 3)
            throw new InputException($"most tokens of a target: expected 3 or more, given {options.MaxTargetTokens}");
        if (options.Beams < 1)
            throw new InputException($"beams: expected 1 or more, given {options.Beams}");
    }

    /// <inheritdoc/>
    public override string Name => "summarize";

    /// <inheritdoc/>
    public override string Title => "Summarization";

    /// <inheritdoc/>
    public override string Architecture => "LEDForConditionalGeneration";

    /// <inheritdoc/>
    public override string BestMetric => Options.Generates ? "rouge2" : "loss";

    /// <inheritdoc/>
    public override bool MoreIsBetter => Options.Generates;

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(text);
        return rows.Select(row =>
        {
            string document = Text(row, Column(row, "document", "article", "text", "report", "article_text")),
                summary = Text(row, Column(row, "summary", "abstract", "highlights", "target", "abstract_text"));
            return new TrainingExample
            {
                Ids = text.Cut(document, null, row.Source).Ids.ToArray(),
                Globals = [0],
                Labels = text.Cut(summary, null, row.Source, limit: Options.MaxTargetTokens).Ids.ToArray(),
                Source = row.Source,
                Notes = forEvaluation ? Json(json => json.WriteString("summary", summary)) : null,
            };
        });
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(text);
        TextGenerator generator = new((LedForConditionalGeneration)call.Head.Model);
        GenerationOptions how = new() { Beams = Options.Beams, LengthPenalty = Options.LengthPenalty, MaxTokens = Options.MaxTargetTokens - 1 };
        (double loss, long count, int at) = (0, 0, 0);
        List<RougeScores> scores = [];
        List<string> predictions = [];
        void Add(TrainingExample example, double ownLoss, long ownCount, string? summary)
        {
            (loss, count) = (loss + ownLoss, count + ownCount);
            if (summary is null)
                return;
            JsonElement notes = NotesOf(example);
            scores.Add(RougeScorer.Score(notes.GetProperty("summary").GetString()!, summary));
            predictions.Add(Json(json =>
            {
                json.WriteString("source", example.Source);
                if (notes.TryGetProperty("id", out JsonElement id))
                    json.WriteString("id", id.GetString());
                json.WriteString("summary", summary);
            }));
        }
        IReadOnlyList<JsonElement> done = call.Journal?.Done ?? [];
        foreach (TrainingExample[] whole in call.Batches())
        {
            // Texts of an earlier evaluation are taken from its journal.
            int known = Math.Clamp(done.Count - at, 0, whole.Length);
            for (int i = 0; i < known; i++)
            {
                JsonElement line = done[at + i];
                Add(whole[i], line.GetProperty("loss").GetDouble(), line.GetProperty("labels").GetInt64(),
                    line.TryGetProperty("summary", out JsonElement summary) ? summary.GetString() : null);
            }
            at += whole.Length;
            TrainingExample[] batch = whole[known..];
            if (batch.Length == 0)
                continue;
            using TensorScope scope = new();
            double sum = call.Head.LossSum(batch, null, call.Cancellation).ToDouble();
            IReadOnlyList<IReadOnlyList<GeneratedSequence>>? written = !Options.Generates ? null : generator.Generate(
                [.. batch.Select(e => new GenerationDocument(e.Ids) { GlobalPositions = e.Globals })], how, cancellation: call.Cancellation);
            List<string> lines = [];
            for (int i = 0; i < batch.Length; i++)
            {
                // The loss is that of the batch: its first example has it.
                (double ownLoss, long ownCount) = (i == 0 ? sum : 0, call.Head.LabelCount(batch[i]));
                string? summary = written is null ? null : text.Tokenizer.Decode([.. written[i][0].Ids], skipSpecialTokens: true).Trim();
                Add(batch[i], ownLoss, ownCount, summary);
                lines.Add(Json(json =>
                {
                    json.WriteNumber("loss", ownLoss);
                    json.WriteNumber("labels", ownCount);
                    if (summary is not null)
                        json.WriteString("summary", summary);
                }));
            }
            call.Journal?.Add(lines);
        }
        LanguageScores language = new(loss, count);
        Dictionary<string, double> metrics = new() { ["loss"] = language.Loss, ["perplexity"] = language.Perplexity };
        if (scores.Count > 0)
        {
            metrics["rouge1"] = 100 * scores.Average(s => s.Rouge1.F1);
            metrics["rouge2"] = 100 * scores.Average(s => s.Rouge2.F1);
            metrics["rougeL"] = 100 * scores.Average(s => s.RougeL.F1);
            metrics["rougeLsum"] = 100 * scores.Average(s => s.RougeLsum.F1);
        }
        return new Evaluation(metrics, predictions);
    }

    /// <summary>A text, or sentences that are put together line by line, without the marks of the arXiv data.</summary>
    private static string Text(DataRow row, string column) => row.Get(column) is IReadOnlyList<object?>
        ? string.Join('\n', row.Texts(column).Select(s => s.Replace("<S>", "", StringComparison.Ordinal).Replace("</S>", "",
            StringComparison.Ordinal))) : row.Text(column);
}
