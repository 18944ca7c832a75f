namespace LongformerInterop.Training.Metrics;

/// <summary>Precision, recall and F1, each 0 to 1; 0 where nothing was there to divide by.</summary>
/// <param name="Precision">Part of what was predicted that is right.</param>
/// <param name="Recall">Part of what is right that was predicted.</param>
public readonly record struct PrecisionRecall(double Precision, double Recall)
{
    /// <summary>Their harmonic mean.</summary>
    public double F1 => Precision + Recall == 0 ? 0 : 2 * Precision * Recall / (Precision + Recall);

    /// <summary>From counts.</summary>
    /// <param name="hits">Predicted and right.</param>
    /// <param name="predicted">Predicted.</param>
    /// <param name="gold">Right.</param>
    public static PrecisionRecall Of(long hits, long predicted, long gold) =>
        new(predicted == 0 ? 0 : (double)hits / predicted, gold == 0 ? 0 : (double)hits / gold);
}

/// <summary>An entity in a sequence of tags.</summary>
/// <param name="Sequence">Which sequence.</param>
/// <param name="Type">Without B-, I-, E-, S-.</param>
/// <param name="First">First token.</param>
/// <param name="Last">Last token, inclusive.</param>
public readonly record struct TaggedEntity(int Sequence, string Type, int First, int Last);

/// <summary>Entities of tag sequences (IOB1, IOB2, IOBES) and their scores as conlleval and seqeval's default mode count them: whole entities, micro
/// average.</summary>
public static class EntityScorer
{
    /// <summary>Scores of predicted tags against gold ones.</summary>
    /// <param name="gold">Tags of every sequence.</param>
    /// <param name="predicted">As many.</param>
    /// <exception cref="ArgumentException">The sequences differ in number or length.</exception>
    public static PrecisionRecall Score(IReadOnlyList<IReadOnlyList<string>> gold, IReadOnlyList<IReadOnlyList<string>> predicted)
    {
        ArgumentNullException.ThrowIfNull(gold);
        ArgumentNullException.ThrowIfNull(predicted);
        if (gold.Count != predicted.Count || gold.Where((tags, i) => tags.Count != predicted[i].Count).Any())
            throw new ArgumentException("expected as many tags as gold ones in every sequence", nameof(predicted));
        HashSet<TaggedEntity> wanted = [.. gold.SelectMany(Entities)], given = [.. predicted.SelectMany(Entities)];
        return PrecisionRecall.Of(given.Count(wanted.Contains), given.Count, wanted.Count);
    }

    /// <summary>The entities of one sequence of tags.</summary>
    /// <param name="tags">Such as <c>B-PER I-PER O</c>.</param>
    /// <param name="sequence">Its number.</param>
    public static IEnumerable<TaggedEntity> Entities(IReadOnlyList<string> tags, int sequence)
    {
        ArgumentNullException.ThrowIfNull(tags);
        (char mark, string type) = ('O', "");
        int first = 0;
        for (int i = 0; i <= tags.Count; i++)
        {
            (char nextMark, string nextType) = i < tags.Count ? Parse(tags[i]) : ('O', "_");
            if (Ends(mark, nextMark, type, nextType))
                yield return new TaggedEntity(sequence, type, first, i - 1);
            if (Starts(mark, nextMark, type, nextType))
                first = i;
            (mark, type) = (nextMark, nextType);
        }
    }

    private static (char Mark, string Type) Parse(string tag)
    {
        if (tag.Length == 0)
            return ('O', "_");
        string rest = tag[1..];
        int dash = rest.IndexOf('-', StringComparison.Ordinal);
        string type = dash < 0 ? rest : rest[(dash + 1)..];
        return (tag[0], type.Length == 0 ? "_" : type);
    }

    private static bool Ends(char mark, char next, string type, string nextType) =>
        mark is 'E' or 'S' || (mark is 'B' or 'I' && next is 'B' or 'S' or 'O') || (mark is not ('O' or '.') && type != nextType);

    private static bool Starts(char mark, char next, string type, string nextType) =>
        next is 'B' or 'S' || (mark is 'E' or 'S' or 'O' && next is 'E' or 'I') || (next is not ('O' or '.') && type != nextType);
}
