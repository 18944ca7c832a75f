using System.Globalization;
using System.Text;
using System.Text.Json;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// OntoNotes coreference, from CoNLL-2012 files to the mean F1 of MUC, B-cubed and CEAFe: coarse-to-fine span ranking, one document a step, body and
/// head each at its own learning rate. A document is cut into segments of at most the model's positions, which nearly every one fits into.
/// </summary>
public sealed class CorefRecipe : Recipe
{
    private const string Document = "conll";

    internal CorefRecipe(RecipeOptions options) : base(options)
    {
        if (options.MaxTrainingSegments < 1)
            throw new InputException($"segments of a training document: expected 1 or more, given {options.MaxTrainingSegments}");
    }

    /// <inheritdoc/>
    public override string Name => "coref";

    /// <inheritdoc/>
    public override string Title => "Coreference";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForCoreference";

    /// <inheritdoc/>
    public override string BestMetric => "average_f1";

    /// <inheritdoc/>
    public override bool TrainsHeadApart => true;

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        string[] files = [.. names.SelectMany(name => !Directory.Exists(name) ? [name]
            : Directory.EnumerateFiles(name, "*_conll", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray() is { Length: > 0 } inside
                ? inside : throw new InputException($"{name}: no file *_conll in this folder"))];
        return PaperInputs.FindNamed(files);
    }

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation)
    {
        foreach (ConllDocument document in files.SelectMany(ConllDocument.Read))
        {
            cancellation.ThrowIfCancellationRequested();
            yield return new DataRow(document.Source, new Dictionary<string, object?> { [Document] = document });
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        IReadOnlyList<string> genres = new CoreferenceConfiguration().Genres;
        foreach (DataRow row in rows)
        {
            ConllDocument document = (ConllDocument)row.Get(Document);
            CoreferenceSegments segments = CoreferenceSegments.Of(document.Document, text.Tokenizer, genres, text.MaxTokens, row.Source);
            int[] ids = [.. segments.Segments.SelectMany(s => s)];
            if (ids.Max() >= text.VocabSize)
                throw new InputException($"{row.Source}: token {ids.Max()} is beyond the model's vocabulary of {text.VocabSize}");
            (MentionSpan Mention, int Cluster)[] mentions = [.. segments.Tokens.Clusters!.SelectMany((c, i) => c.Select(m => (m, i)))];
            yield return new TrainingExample
            {
                Ids = ids,
                Lengths = [.. segments.Segments.Select(s => s.Length)],
                Labels = [.. segments.Tokens.Sentences, .. segments.Tokens.Speakers, segments.Tokens.Genre],
                Starts = Array.ConvertAll(mentions, m => m.Mention.First),
                Ends = Array.ConvertAll(mentions, m => m.Mention.Last),
                Targets = Array.ConvertAll(mentions, m => (float)m.Cluster),
                Source = string.Create(CultureInfo.InvariantCulture, $"{document.Name} part {document.Part}"),
                Notes = forEvaluation ? Notes(document, segments) : null,
            };
        }
    }

    /// <inheritdoc/>
    public override TrainingExample ForPass(TrainingExample example, ExampleText text, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(example);
        int[] lengths = example.Lengths!;
        int most = Options.MaxTrainingSegments;
        if (lengths.Length <= most)
            return example;
        // A random run of the segments.
        int first = (int)(seed % (ulong)(lengths.Length - most + 1)), from = lengths[..first].Sum(), count = lengths[first..(first + most)].Sum();
        int tokens = example.Ids.Length;
        int[] inside = [.. Enumerable.Range(0, example.Starts!.Length).Where(i => example.Starts[i] >= from && example.Ends![i] < from + count)];
        return example with
        {
            Ids = example.Ids[from..(from + count)],
            Lengths = lengths[first..(first + most)],
            Labels = [.. example.Labels![from..(from + count)], .. example.Labels[(tokens + from)..(tokens + from + count)], example.Labels[^1]],
            Starts = Array.ConvertAll(inside, i => example.Starts[i] - from),
            Ends = Array.ConvertAll(inside, i => example.Ends![i] - from),
            Targets = Array.ConvertAll(inside, i => example.Targets![i]),
        };
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        CoreferenceTrainingHead head = (CoreferenceTrainingHead)call.Head;
        (double loss, int count) = (0, 0);
        List<CoreferenceClusters> documents = [];
        List<string> predictions = [];
        StringBuilder official = new();
        foreach (TrainingExample example in call.Batches().SelectMany(batch => batch))
        {
            using TensorScope scope = new();
            CoreferenceOutputs outputs = head.Forward(example, null, call.Cancellation);
            loss += outputs.Loss!.ToDouble();
            count++;
            JsonElement notes = NotesOf(example);
            int[] words = [.. notes.GetProperty("words").EnumerateArray().Select(w => w.GetInt32())];
            IReadOnlyList<IReadOnlyList<MentionSpan>> found = CoreferenceSegments.ToWords(outputs.Clusters(), words);
            (string name, int part) = (notes.GetProperty("name").GetString()!, notes.GetProperty("part").GetInt32());
            documents.Add(new CoreferenceClusters(CoreferencePrediction.ReadClusters(notes.GetProperty("clusters")), found));
            official.Append(new ConllDocument
            {
                Name = name, Part = part, Document = new CoreferenceDocument { Sentences = [] },
                Rows = [.. notes.GetProperty("rows").EnumerateArray().Select(s =>
                    (IReadOnlyList<string>)[.. s.EnumerateArray().Select(r => r.GetString()!)])],
            }.With(found));
            predictions.Add(Json(json =>
            {
                json.WriteString("document", name);
                json.WriteNumber("part", part);
                Write(json, "clusters", found);
            }));
        }
        CoreferenceScores scores = CoreferenceScorer.Score(documents);
        return new Evaluation(new Dictionary<string, double>
        {
            ["loss"] = loss / Math.Max(count, 1), ["average_f1"] = scores.PrintedAverage,
            ["muc_f1"] = scores.Muc.PrintedF1, ["b_cubed_f1"] = scores.BCubed.PrintedF1, ["ceafe_f1"] = scores.CeafE.PrintedF1,
            ["mentions_f1"] = scores.Mentions.PrintedF1, ["documents"] = count,
        }, predictions)
        { OfficialFile = official.ToString() };
    }

    private static string Notes(ConllDocument document, CoreferenceSegments segments) => Json(json =>
    {
        json.WriteString("name", document.Name);
        json.WriteNumber("part", document.Part);
        json.WriteStartArray("words");
        foreach (int word in segments.Words)
            json.WriteNumberValue(word);
        json.WriteEndArray();
        Write(json, "clusters", document.Document.Clusters!);
        json.WriteStartArray("rows");
        foreach (IReadOnlyList<string> sentence in document.Rows)
        {
            json.WriteStartArray();
            foreach (string row in sentence)
                json.WriteStringValue(row);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    });

    private static void Write(Utf8JsonWriter json, string name, IReadOnlyList<IReadOnlyList<MentionSpan>> clusters)
    {
        json.WriteStartArray(name);
        foreach (IReadOnlyList<MentionSpan> cluster in clusters)
        {
            json.WriteStartArray();
            foreach (MentionSpan mention in cluster)
            {
                json.WriteStartArray();
                json.WriteNumberValue(mention.First);
                json.WriteNumberValue(mention.Last);
                json.WriteEndArray();
            }
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }
}
