using System.Globalization;
using System.Text;
using System.Text.Json;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// Hyperpartisan news by article, from the official XML files. The parts are those of a splits file (allenai's <c>hp-splits.json</c>, of which 51
/// of the 65 test articles are in the training part too), else 80, 10 and 10 percent that share no article. The metric is F1 of the class
/// hyperpartisan.
/// </summary>
public sealed class HyperpartisanRecipe : PaperClassifyRecipe
{
    internal const string Negative = "mainstream", Positive = "hyperpartisan";

    internal HyperpartisanRecipe(RecipeOptions options) : base(options, Negative, Positive)
    {
    }

    /// <inheritdoc/>
    public override string Name => "hyperpartisan";

    /// <inheritdoc/>
    public override string Title => "Hyperpartisan news";

    /// <inheritdoc/>
    public override string BestMetric => "f1";

    internal override IEnumerable<object?> DataSettings => [.. base.DataSettings, Options.Splits,
        Options.Splits is { } file && File.Exists(file) ? File.GetLastWriteTimeUtc(file).Ticks : null];

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names) => HyperpartisanFiles.Find(names);

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation)
    {
        IEnumerable<DataRow> all = HyperpartisanFiles.Read(files, cancellation);
        return part == DataPart.All ? all : Options.Splits is { } splits ? BySplits(all, splits, part) : ByNumber([.. all], part);
    }

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        List<string> ids = [];
        int number = 0;
        // Read lazily: the id of a row is there when its example is.
        IEnumerable<DataRow> Noted()
        {
            foreach (DataRow row in rows)
            {
                ids.Add(row.Text("id"));
                yield return row;
            }
        }
        return base.Examples(Noted(), text, labels, forEvaluation).Select(example => example with
        {
            Notes = forEvaluation ? Json(json => json.WriteString("id", ids[number++])) : null,
        });
    }

    /// <summary>Measures; the official file has a line for each article: its id and whether it is hyperpartisan.</summary>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        Evaluation found = base.Evaluate(call, text, labels);
        StringBuilder lines = new();
        for (int i = 0; i < found.Predictions.Count; i++)
        {
            using JsonDocument prediction = JsonDocument.Parse(found.Predictions[i]);
            bool positive = prediction.RootElement.GetProperty("labels")[0].GetString() == Positive;
            lines.Append(CultureInfo.InvariantCulture, $"{NotesOf(call.Data[i]).GetProperty("id").GetString()} {(positive ? "true" : "false")}\n");
        }
        return found with { OfficialFile = lines.ToString() };
    }

    private static IEnumerable<DataRow> BySplits(IEnumerable<DataRow> all, string splits, DataPart part)
    {
        string name = part switch { DataPart.Training => "train", DataPart.Development => "dev", _ => "test" };
        if (!HyperpartisanFiles.Splits(splits).TryGetValue(name, out HashSet<long>? wanted))
            throw new InputException($"{splits}: no part \"{name}\"");
        HashSet<long> left = [.. wanted];
        foreach (DataRow row in all)
        {
            long id = row.Integer("id");
            left.Remove(id);
            if (wanted.Contains(id))
                yield return row;
        }
        if (left.Count > 0)
            throw new InputException($"{splits}: {name}: {left.Count} articles are not in the data, among them {left.First()}");
    }

    private static IEnumerable<DataRow> ByNumber(DataRow[] all, DataPart part)
    {
        int[] order = Mixing.Order(all.Length, 0, 0);
        int tenth = all.Length / 10;
        int[] wanted = part switch
        {
            DataPart.Development => order[..tenth],
            DataPart.Test => order[tenth..(2 * tenth)],
            _ => order[(2 * tenth)..],
        };
        return wanted.Order().Select(i => all[i]);
    }
}
