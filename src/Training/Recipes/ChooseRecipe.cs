using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Recipes;

/// <summary>
/// Multiple choice: <c>document</c>, <c>choices</c> and <c>answer</c> (a number from 0, a letter from A, or the text of a choice), with or without a
/// <c>question</c>. Each choice is read behind the document, as <see cref="Tasks.MultipleChoice"/> reads it; a longer example loses the end of
/// its document.
/// </summary>
public sealed class ChooseRecipe : Recipe
{
    internal ChooseRecipe(RecipeOptions options) : base(options)
    {
    }

    /// <inheritdoc/>
    public override string Name => "choose";

    /// <inheritdoc/>
    public override string Title => "Multiple choice";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForMultipleChoice";

    /// <inheritdoc/>
    public override string BestMetric => "accuracy";

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        return rows.Select(row =>
        {
            string document = row.Text(Column(row, "document", "article", "context", "text", "passage"));
            string? question = OptionalColumn(row, "question", "query") is { } column ? row.Text(column) : null;
            string[] choices = row.Texts(Column(row, "choices", "options", "candidates"));
            if (choices.Length < 2)
                throw new InputException($"{row.Source}: expected at least 2 choices, given {choices.Length}");
            int[][] each = [.. choices.Select(choice => choice.Length == 0 ? throw new InputException($"{row.Source}: a choice is empty")
                : text.Cut(document, question is null ? choice : $"{question} {choice}", row.Source, TruncationStrategy.OnlyFirst).Ids.ToArray())];
            return new TrainingExample
            {
                Ids = [.. each.SelectMany(ids => ids)],
                Lengths = Array.ConvertAll(each, ids => ids.Length),
                Labels = [Right(row, choices)],
                Source = row.Source,
                Notes = forEvaluation ? Json(_ => { }) : null,
            };
        });
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        ChoiceHead head = (ChoiceHead)call.Head;
        double loss = 0;
        List<int> gold = [], predicted = [];
        List<string> predictions = [];
        foreach (TrainingExample[] batch in call.Batches())
        {
            using TensorScope scope = new();
            IReadOnlyList<Tensor> logits = head.Logits(batch, null, call.Cancellation);
            loss += head.Loss(logits, batch).ToDouble();
            for (int i = 0; i < batch.Length; i++)
            {
                float[] scores = Tasks.TextInputs.ToFloats(logits[i]);
                gold.Add(batch[i].Labels![0]);
                predicted.Add(Array.IndexOf(scores, scores.Max()));
                predictions.Add(Json(json =>
                {
                    json.WriteString("source", batch[i].Source);
                    json.WriteNumber("choice", predicted[^1]);
                    json.WriteStartArray("logits");
                    foreach (float score in scores)
                        json.WriteNumberValue(score);
                    json.WriteEndArray();
                }));
            }
        }
        return new Evaluation(new Dictionary<string, double>
        {
            ["loss"] = loss / gold.Count, ["accuracy"] = ClassScores.Of(gold, predicted, Math.Max(gold.Max(), predicted.Max()) + 1).Accuracy,
        }, predictions);
    }

    private int Right(DataRow row, string[] choices)
    {
        string column = Column(row, "answer", "label", "correct");
        object value = row.Get(column);
        int index = DataRow.AsInteger(value) is { } number && number >= 0 && number < choices.Length ? (int)number : -1;
        if (index < 0 && value is string text)
        {
            index = Array.IndexOf(choices, text);
            if (index < 0 && text.Length == 1 && text[0] >= 'A' && text[0] < 'A' + choices.Length)
                index = text[0] - 'A';
        }
        return index >= 0 ? index
            : throw new InputException($"{row.Source}: expected in \"{column}\" one of the {choices.Length} choices: its number from 0, its "
                + $"letter or its text, given \"{DataRow.AsText(value)}\"");
    }
}
