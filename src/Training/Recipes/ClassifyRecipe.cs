using System.Globalization;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Recipes;

/// <summary>
/// Classification: <c>text</c> (and <c>pair</c>) with <c>label</c>: a name or a number (one class), a list of names or numbers (several classes), or
/// a value (regression).
/// </summary>
public class ClassifyRecipe : Recipe
{
    private const string Single = "single_label_classification", Multi = "multi_label_classification", Regression = "regression";

    internal ClassifyRecipe(RecipeOptions options) : base(options)
    {
        if (options.ProblemType is not (null or Single or Multi or Regression))
            throw new InputException($"problem type: expected {Single}, {Multi} or {Regression}, given {options.ProblemType}");
    }

    /// <inheritdoc/>
    public override string Name => "classify";

    /// <inheritdoc/>
    public override string Title => "Sequence classification";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForSequenceClassification";

    /// <inheritdoc/>
    public override string BestMetric => Options.ProblemType == Regression ? "pearson" : Options.ProblemType == Multi ? "micro_f1" : "accuracy";

    /// <inheritdoc/>
    public override LabelSet? FindLabels(IEnumerable<DataRow> rows, LabelSet? checkpoint)
    {
        ArgumentNullException.ThrowIfNull(rows);
        HashSet<string> names = new(StringComparer.Ordinal);
        (bool lists, bool fractions, DataRow? first) = (false, false, null);
        foreach (DataRow row in rows)
        {
            object label = row.Get(LabelColumn(row));
            bool isList = label is IReadOnlyList<object?>;
            if (first is not null && isList != lists)
                throw new InputException($"{row.Source}: expected {(lists ? "a list of labels" : "one label")}, as in {first.Source}");
            (lists, first) = (isList, first ?? row);
            foreach (object? item in label as IReadOnlyList<object?> ?? [label])
            {
                fractions |= DataRow.AsNumber(item) is not null && DataRow.AsInteger(item) is null;
                names.Add(DataRow.AsText(item) ?? throw new InputException($"{row.Source}: expected a label, given a list or a record"));
            }
        }
        string problem = Options.ProblemType ?? (lists && fractions ? Regression : lists ? Multi : fractions ? Regression : Single);
        if (problem == Regression)
        {
            int count = lists ? rows.Max(row => row.List(LabelColumn(row)).Count) : 1;
            return Checked(new LabelSet(Options.Labels ?? (checkpoint?.Names.Count == count ? checkpoint.Names
                : Numbered(count))) { ProblemType = problem }, count);
        }
        if (!lists && problem == Multi)
            throw new InputException($"{first!.Source}: expected a list of labels ({Multi}), given one");
        if (lists && problem == Single)
            throw new InputException($"{first!.Source}: expected one label ({Single}), given a list");
        if (Options.Labels is { } given)
            return Checked(new LabelSet(given) { ProblemType = problem }, 0);
        bool numbers = names.All(n => int.TryParse(n, NumberStyles.None, CultureInfo.InvariantCulture, out _));
        int most = numbers && names.Count > 0 ? names.Max(n => int.Parse(n, CultureInfo.InvariantCulture)) + 1 : 0;
        if (checkpoint is not null && (names.All(checkpoint.Names.Contains) || (numbers && most <= checkpoint.Names.Count)))
            return checkpoint with { ProblemType = problem };
        if (!lists && names.Count < 2)
            throw new InputException($"labels: expected at least two different ones, given only \"{string.Concat(names)}\"; name all as labels");
        return new LabelSet(numbers ? Numbered(most) : [.. names.Order(StringComparer.Ordinal)]) { ProblemType = problem };
    }

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(labels);
        return rows.Select(row =>
        {
            string? pair = OptionalColumn(row, "pair", "text_pair", "sentence2", "hypothesis") is { } second ? row.Text(second) : null;
            int[] ids = text.Cut(row.Text(Column(row, "text", "document", "article", "sentence", "review", "content")), pair,
                row.Source).Ids.ToArray();
            object label = row.Get(LabelColumn(row));
            TrainingExample example = new() { Ids = ids, Source = row.Source, Notes = forEvaluation ? Json(_ => { }) : null };
            if (labels.ProblemType == Regression)
                return example with { Targets = Values(row, label, labels) };
            int[] classes = [.. (label as IReadOnlyList<object?> ?? [label]).Select(item => ClassOf(row, item, labels))];
            if (labels.ProblemType == Single)
                return example with { Labels = classes };
            float[] targets = new float[labels.Names.Count];
            foreach (int c in classes)
                targets[c] = 1;
            return example with { Targets = targets };
        });
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(labels);
        SequenceHead head = (SequenceHead)call.Head;
        (double loss, long count, int classes) = (0, 0, labels.Names.Count);
        List<float[]> scores = [];
        List<TrainingExample> examples = [];
        foreach (TrainingExample[] batch in call.Batches())
        {
            using TensorScope scope = new();
            Tensor logits = head.Logits(batch, null, call.Cancellation);
            loss += head.Loss(logits, batch).ToDouble();
            count += batch.Sum(head.LabelCount);
            float[] values = Tasks.TextInputs.ToFloats(logits);
            scores.AddRange(values.Chunk(classes));
            examples.AddRange(batch);
        }
        Dictionary<string, double> metrics = new() { ["loss"] = loss / count };
        IReadOnlyList<IReadOnlyList<int>>? predicted = null;
        if (labels.ProblemType == Regression)
        {
            NumberScores numbers = NumberScores.Of([.. examples.SelectMany(e => e.Targets!).Select(v => (double)v)],
                [.. scores.SelectMany(s => s).Select(v => (double)v)]);
            (metrics["mean_squared_error"], metrics["pearson"]) = (numbers.MeanSquaredError, numbers.Pearson);
        }
        else
        {
            predicted = [.. scores.Select(s => labels.ProblemType == Multi ? [.. Enumerable.Range(0, classes).Where(c => s[c] > 0)]
                : new[] { Array.IndexOf(s, s.Max()) })];
            ClassScores found = ClassScores.Of([.. examples.Select(e =>
                e.Labels ?? [.. Enumerable.Range(0, classes).Where(c => e.Targets![c] > 0.5f)])], predicted, classes);
            (metrics["accuracy"], metrics["macro_f1"], metrics["micro_f1"]) = (found.Accuracy, found.MacroF1, found.MicroF1);
            if (classes == 2 && labels.ProblemType == Single)
                metrics["f1"] = found.Classes[1].F1;
        }
        return new Evaluation(metrics, [.. examples.Select((example, i) => Json(json =>
        {
            json.WriteString("source", example.Source);
            if (predicted is not null)
            {
                json.WriteStartArray("labels");
                foreach (int c in predicted[i])
                    json.WriteStringValue(labels.Names[c]);
                json.WriteEndArray();
            }
            json.WriteStartArray("logits");
            foreach (float score in scores[i])
                json.WriteNumberValue(score);
            json.WriteEndArray();
        }))]);
    }

    /// <summary>The number of a label: by its name, else as the number itself.</summary>
    internal static int ClassOf(DataRow row, object? label, LabelSet labels)
    {
        string name = DataRow.AsText(label) ?? throw new InputException($"{row.Source}: expected a label, given a list or a record");
        int index = labels.IndexOf(name);
        if (index >= 0)
            return index;
        return DataRow.AsInteger(label) is { } number && number >= 0 && number < labels.Names.Count ? (int)number
            : throw new InputException($"{row.Source}: expected one of the labels "
                + $"{string.Join(", ", labels.Names.Take(20).Select(n => $"\"{n}\""))}, given \"{name}\"");
    }

    private string LabelColumn(DataRow row) => Column(row, "label", "labels", "class", "target");

    private static float[] Values(DataRow row, object label, LabelSet labels)
    {
        float[] values = [.. (label as IReadOnlyList<object?> ?? [label]).Select(item => (float)(DataRow.AsNumber(item)
            ?? throw new InputException($"{row.Source}: expected a number ({Regression}), given \"{DataRow.AsText(item)}\"")))];
        if (values.Length != labels.Names.Count)
            throw new InputException($"{row.Source}: expected {labels.Names.Count} numbers, given {values.Length}");
        return values.All(float.IsFinite) ? values
            : throw new InputException($"{row.Source}: expected finite numbers, given {string.Join(", ", values)}");
    }

    private static LabelSet Checked(LabelSet labels, int count)
    {
        if (labels.Names.Distinct().Count() != labels.Names.Count)
            throw new InputException($"labels: expected different ones, given {string.Join(", ", labels.Names)}");
        return count == 0 || labels.Names.Count == count ? labels
            : throw new InputException($"labels: expected {count}, as many as numbers in a record, given {labels.Names.Count}");
    }

    private static string[] Numbered(int count) => [.. Enumerable.Range(0, count).Select(i => $"LABEL_{i.ToString(CultureInfo.InvariantCulture)}")];
}
