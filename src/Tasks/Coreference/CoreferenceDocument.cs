using LongformerInterop.Models.Coreference;

namespace LongformerInterop.Tasks;

/// <summary>A document as coreference sees it: sentences of words.</summary>
public sealed record CoreferenceDocument
{
    /// <summary>The words of every sentence.</summary>
    public required IReadOnlyList<IReadOnlyList<string>> Sentences { get; init; }

    /// <summary>The speaker of every word, counted over the whole document; null: one speaker says all.</summary>
    public IReadOnlyList<string>? Speakers { get; init; }

    /// <summary>The genre, one of those of the checkpoint: the first two letters of OntoNotes' documents.</summary>
    public string Genre { get; init; } = "nw";

    /// <summary>The gold clusters, mentions by their words counted over the whole document; null: unknown.</summary>
    public IReadOnlyList<IReadOnlyList<MentionSpan>>? Clusters { get; init; }

    /// <summary>How many words there are.</summary>
    public int WordCount => Sentences.Sum(s => s.Count);
}

/// <summary>A mention in a text.</summary>
/// <param name="Start">First character, in UTF-16 units.</param>
/// <param name="End">One past the last character.</param>
/// <param name="Text">The characters <c>text[Start..End]</c>.</param>
public sealed record CoreferenceMention(int Start, int End, string Text);

/// <summary>Mentions of one and the same thing, two or more, in the order of the text.</summary>
/// <param name="Mentions">The mentions.</param>
public sealed record CoreferenceCluster(IReadOnlyList<CoreferenceMention> Mentions);
