using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Tagging;

/// <summary>Joins labeled tokens to entities, by the rules of transformers' token classification pipeline.</summary>
internal static class EntityGrouper
{
    /// <summary>One unit to be joined: a token, or a word with aggregated probabilities.</summary>
    private readonly record struct Unit(int Label, float Score, int Start, int End);

    /// <summary>Groups the tokens of one text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="offsets">Character ranges [T] of the tokens that belong to the text (no special tokens), ascending.</param>
    /// <param name="probabilities">[T][L] label probabilities of these tokens.</param>
    /// <param name="labels">Names [L].</param>
    /// <param name="aggregation">The rule.</param>
    /// <param name="continues">[T] whether a token is the rest of a word; null: by white space, as for byte-level BPE.</param>
    internal static List<Entity> Group(string text, IReadOnlyList<TextRange> offsets, IReadOnlyList<float[]> probabilities,
        IReadOnlyList<string> labels, TagAggregation aggregation, IReadOnlyList<bool>? continues = null)
    {
        List<Unit> units = aggregation switch
        {
            TagAggregation.None or TagAggregation.Simple =>
                [.. offsets.Select((range, i) => Best(probabilities[i], range.Start, range.End))],
            _ => Words(text, offsets, probabilities, aggregation, continues),
        };
        if (aggregation == TagAggregation.None)
        {
            return [.. units.Where(u => labels[u.Label] != "O")
                .Select(u => new Entity(labels[u.Label], text[u.Start..u.End], u.Start, u.End, u.Score))];
        }

        List<Entity> entities = [];
        List<Unit> open = [];
        string openTag = "";
        foreach (Unit unit in units)
        {
            (bool begins, string tag) = Split(labels[unit.Label]);
            if (open.Count > 0 && (begins || tag != openTag))
                Close();
            open.Add(unit);
            openTag = tag;
        }
        if (open.Count > 0)
            Close();
        return entities;

        void Close()
        {
            // The name is the part behind the first dash; O is no entity.
            string label = labels[open[0].Label], name = label[(label.IndexOf('-', StringComparison.Ordinal) + 1)..];
            if (name != "O")
                entities.Add(new Entity(name, text[open[0].Start..open[^1].End], open[0].Start, open[^1].End, open.Average(u => u.Score)));
            open.Clear();
        }
    }

    private static Unit Best(float[] probabilities, int start, int end)
    {
        int label = 0;
        for (int i = 1; i < probabilities.Length; i++)
        {
            if (probabilities[i] > probabilities[label])
                label = i;
        }
        return new Unit(label, probabilities[label], start, end);
    }

    private static List<Unit> Words(string text, IReadOnlyList<TextRange> offsets,
        IReadOnlyList<float[]> probabilities, TagAggregation aggregation, IReadOnlyList<bool>? continues)
    {
        List<Unit> words = [];
        for (int first = 0; first < offsets.Count;)
        {
            int next = first + 1;
            while (next < offsets.Count && (continues?[next] ?? !BeginsWord(text, offsets[next].Start)))
                next++;
            Unit word = aggregation switch
            {
                TagAggregation.First => Best(probabilities[first], 0, 0),
                TagAggregation.Average => Best(Mean(probabilities, first, next), 0, 0),
                _ => Enumerable.Range(first, next - first).Select(i => Best(probabilities[i], 0, 0)).MaxBy(u => u.Score),
            };
            words.Add(word with { Start = offsets[first].Start, End = offsets[next - 1].End });
            first = next;
        }
        return words;
    }

    /// <summary>A word begins at the start of the text, behind a space, or with one (byte-level tokens carry no other mark): HF's rule, to the
    /// space.</summary>
    private static bool BeginsWord(string text, int start) =>
        start == 0 || text[start - 1] == ' ' || (start < text.Length && text[start] == ' ');

    private static float[] Mean(IReadOnlyList<float[]> rows, int first, int next)
    {
        float[] mean = new float[rows[first].Length];
        for (int i = first; i < next; i++)
        {
            for (int l = 0; l < mean.Length; l++)
                mean[l] += rows[i][l] / (next - first);
        }
        return mean;
    }

    private static (bool Begins, string Tag) Split(string label) =>
        label.StartsWith("B-", StringComparison.Ordinal) ? (true, label[2..])
        : label.StartsWith("I-", StringComparison.Ordinal) ? (false, label[2..])
        : (false, label);
}
