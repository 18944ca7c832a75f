using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Recipes;

/// <summary>
/// Tags of words: <c>tokens</c> with <c>tags</c> (names, or numbers of labels that are named), or <c>text</c> with <c>entities</c>: records of
/// <c>start</c>, <c>end</c> (code points, the end not included) and <c>label</c>. Words are joined by spaces; the first piece of a word has its tag,
/// the others have none.
/// </summary>
public sealed class TagRecipe : Recipe
{
    internal TagRecipe(RecipeOptions options) : base(options)
    {
    }

    /// <inheritdoc/>
    public override string Name => "tag";

    /// <inheritdoc/>
    public override string Title => "Token classification";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForTokenClassification";

    /// <inheritdoc/>
    public override string BestMetric => "f1";

    /// <inheritdoc/>
    public override LabelSet? FindLabels(IEnumerable<DataRow> rows, LabelSet? checkpoint)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (Options.Labels is { } given)
            return new LabelSet(given);
        HashSet<string> names = new(StringComparer.Ordinal) { "O" };
        foreach (DataRow row in rows)
        {
            foreach (object? tag in TagsColumn(row) is { } column ? row.List(column) : [.. Words(row).Select(w => (object)w.Tag)])
            {
                if (tag is string name)
                    names.Add(name);
                else if (checkpoint is not null)
                    return checkpoint;
                else
                    throw new InputException($"{row.Source}: the tags are numbers; name them in their order by the setting labels");
            }
        }
        return checkpoint is not null && names.All(checkpoint.Names.Contains) ? checkpoint
            : new LabelSet(["O", .. names.Where(n => n != "O").OrderBy(n => n.Length > 2 ? n[2..] : n, StringComparer.Ordinal).ThenBy(n => n,
                StringComparer.Ordinal)]);
    }

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(labels);
        foreach (DataRow row in rows)
        {
            Word[] words = Words(row);
            string whole = TagsColumn(row) is null ? row.Text(TextColumn(row)) : string.Join(' ', words.Select(w => w.Text));
            foreach (Encoding window in text.Windows(whole, null, 0, row.Source))
            {
                int[] tags = new int[window.Count];
                Array.Fill(tags, TrainingExample.Ignored);
                int word = 0;
                for (int i = 0; i < tags.Length; i++)
                {
                    TextRange range = window.Offsets.Span[i];
                    if (window.SequenceIds.Span[i] < 0 || range.Length == 0)
                        continue;
                    while (word < words.Length && words[word].End <= range.Start)
                        word++;
                    // The first piece begins where the word does; a piece in its middle begins behind that.
                    if (word < words.Length && range.End > words[word].Start && range.Start <= words[word].Start)
                        tags[i] = TagOf(row, words[word++], labels);
                }
                yield return new TrainingExample { Ids = window.Ids.ToArray(), Labels = tags, Source = row.Source, Notes = forEvaluation
                    ? Json(_ => { }) : null };
            }
        }
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(labels);
        TokenHead head = (TokenHead)call.Head;
        (double loss, long count, int classes) = (0, 0, labels.Names.Count);
        List<string[]> gold = [], predicted = [];
        List<string> sources = [];
        foreach (TrainingExample[] batch in call.Batches())
        {
            using TensorScope scope = new();
            Tensor logits = head.Logits(batch, null, call.Cancellation);
            loss += head.Loss(logits, batch).ToDouble();
            count += batch.Sum(head.LabelCount);
            float[] values = Tasks.TextInputs.ToFloats(logits);
            int row = 0;
            foreach (TrainingExample example in batch)
            {
                int[] places = [.. Enumerable.Range(0, example.Ids.Length).Where(i => example.Labels![i] != TrainingExample.Ignored)];
                gold.Add(Array.ConvertAll(places, i => labels.Names[example.Labels![i]]));
                int from = row;
                predicted.Add(Array.ConvertAll(places, i =>
                {
                    Span<float> scores = values.AsSpan((from + i) * classes, classes);
                    int best = 0;
                    for (int c = 1; c < classes; c++)
                    {
                        if (scores[c] > scores[best])
                            best = c;
                    }
                    return labels.Names[best];
                }));
                sources.Add(example.Source);
                row += example.Ids.Length;
            }
        }
        PrecisionRecall entities = EntityScorer.Score(gold, predicted);
        long right = gold.Zip(predicted).Sum(p => p.First.Zip(p.Second).LongCount(t => t.First == t.Second)), all = gold.Sum(g => (long)g.Length);
        return new Evaluation(new Dictionary<string, double>
        {
            ["loss"] = loss / Math.Max(1, count), ["precision"] = entities.Precision, ["recall"] = entities.Recall, ["f1"] = entities.F1,
            ["accuracy"] = all == 0 ? 0 : (double)right / all,
        }, [.. predicted.Select((tags, i) => Json(json =>
        {
            json.WriteString("source", sources[i]);
            json.WriteStartArray("tags");
            foreach (string tag in tags)
                json.WriteStringValue(tag);
            json.WriteEndArray();
        }))]);
    }

    private string? TagsColumn(DataRow row) => OptionalColumn(row, "tags", "ner_tags", "labels");

    private string TextColumn(DataRow row) => Column(row, "text", "document", "content");

    private Word[] Words(DataRow row)
    {
        if (TagsColumn(row) is not { } column)
            return Marked(row);
        string[] texts = row.Texts(Column(row, "tokens", "words"));
        IReadOnlyList<object?> tags = row.List(column);
        if (texts.Length != tags.Count)
            throw new InputException($"{row.Source}: expected a tag for each of {texts.Length} words, given {tags.Count}");
        int at = 0;
        return [.. texts.Select((text, i) =>
        {
            Word word = new(at, at + text.Length, text,
                DataRow.AsText(tags[i]) ?? throw new InputException($"{row.Source}: expected a tag for word {i}, given a list or a record"));
            at += text.Length + 1;
            return word;
        })];
    }

    /// <summary>The words of a text in which entities are marked: runs without white space, cut where an entity begins or ends.</summary>
    private Word[] Marked(DataRow row)
    {
        string text = row.Text(TextColumn(row));
        List<Word> words = [];
        (int Start, int End, string Label)[] entities = [.. row.Records(Column(row, "entities", "spans")).Select(e =>
            (CodePoints.ToUtf16(text, e.Integer("start")), CodePoints.ToUtf16(text, e.Integer("end")),
                e.Text(e.Has("label") ? "label" : "type"))).OrderBy(e => e.Item1)];
        int end = 0;
        foreach ((int start, int stop, string label) in entities)
        {
            if (start < end || stop <= start || stop > text.Length)
            {
                throw new InputException($"{row.Source}: expected entities one behind the other inside the {text.Length} characters, given "
                    + $"{start}..{stop} ({label})");
            }
            Split(end, start, _ => "O");
            Split(start, stop, first => (first ? "B-" : "I-") + label);
            end = stop;
        }
        Split(end, text.Length, _ => "O");
        return [.. words];

        void Split(int from, int to, Func<bool, string> tag)
        {
            bool first = true;
            for (int i = from; i < to; i++)
            {
                if (char.IsWhiteSpace(text[i]))
                    continue;
                int start = i;
                while (i < to && !char.IsWhiteSpace(text[i]))
                    i++;
                words.Add(new Word(start, i, text[start..i], tag(first)));
                first = false;
            }
        }
    }

    private static int TagOf(DataRow row, Word word, LabelSet labels) => ClassifyRecipe.ClassOf(row, word.Tag, labels);

    private readonly record struct Word(int Start, int End, string Text, string Tag);
}
