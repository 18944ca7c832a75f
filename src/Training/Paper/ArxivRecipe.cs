using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// arXiv summaries (Cohan et al.), from <c>train.txt</c>, <c>val.txt</c> and <c>test.txt</c>, a JSON object a line: the sentences of article and
/// abstract joined by line breaks, without <c>&lt;S&gt;</c> and <c>&lt;/S&gt;</c>. The first token is global. rougeLsum counts by lines.
/// </summary>
public sealed class ArxivRecipe : SummarizeRecipe
{
    internal ArxivRecipe(RecipeOptions options) : base(options)
    {
    }

    /// <inheritdoc/>
    public override string Name => "arxiv";

    /// <inheritdoc/>
    public override string Title => "arXiv summarization";

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names) => PaperInputs.FindNamed(names);

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation) =>
        files.SelectMany(file => DataFiles.ReadJsonLines(file, cancellation)).Select(row => new DataRow(row.Source, new Dictionary<string, object?>
        {
            ["id"] = row.Text("article_id"), ["document"] = Joined(row, "article_text"), ["summary"] = Joined(row, "abstract_text"),
        }));

    /// <summary>An article or an abstract may be empty. It is then <c>&lt;s&gt; &lt;/s&gt;</c>; a record with one that is empty teaches nothing
    /// and is left out of a training.</summary>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        foreach (DataRow row in rows)
        {
            (string document, string summary) = (row.Text("document"), row.Text("summary"));
            if (!forEvaluation && (string.IsNullOrWhiteSpace(document) || string.IsNullOrWhiteSpace(summary)))
                continue;
            yield return new TrainingExample
            {
                Ids = text.Cut(document, null, row.Source, mayBeEmpty: true).Ids.ToArray(),
                Globals = PaperInputs.Globals(Options, [0]),
                Labels = text.Cut(summary, null, row.Source, limit: Options.MaxTargetTokens, mayBeEmpty: true).Ids.ToArray(),
                Source = row.Source,
                Notes = forEvaluation ? Json(json =>
                {
                    json.WriteString("id", row.Text("id"));
                    json.WriteString("summary", summary);
                }) : null,
            };
        }
    }

    private static string Joined(DataRow row, string column) => string.Join('\n', row.Texts(column).Select(s =>
        s.Replace("<S>", "", StringComparison.Ordinal).Replace("</S>", "", StringComparison.Ordinal)));
}
