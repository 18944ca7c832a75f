using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>A text to find passages in.</summary>
/// <param name="Source">Its name, by which results refer to it: a path, or a path and a line.</param>
/// <param name="Text">The text, with as many characters as memory holds.</param>
public sealed record SearchDocument(string Source, string Text);

/// <summary>How a corpus is indexed.</summary>
public sealed record IndexOptions
{
    /// <summary>
    /// The most tokens of a passage, special tokens included; 0: as many as the encoder takes. A passage ends where a paragraph ends, if one ends in
    /// its second half; else where a line, a sentence or a word does. Without an encoder: words.
    /// </summary>
    public int PassageTokens { get; init; } = 512;

    /// <summary>How passages are encoded.</summary>
    public EmbeddingOptions Encoding { get; init; } = new();

    internal void Check()
    {
        if (PassageTokens is < 0 or > 0 and < 8)
            throw new InputException("passage tokens", "0, or 8 and more", $"{PassageTokens}");
    }
}

/// <summary>What was indexed.</summary>
/// <param name="Documents">Documents in the index.</param>
/// <param name="Passages">Passages in the index.</param>
/// <param name="Reused">Documents whose vectors were those of the index that was there before.</param>
/// <param name="Empty">Documents without a word, which are left out, by their names.</param>
public sealed record IndexResult(int Documents, long Passages, int Reused, IReadOnlyList<string> Empty);

/// <summary>By what documents are found.</summary>
public enum SearchBy
{
    /// <summary>The cosine of a passage's vector and the question's, over all passages.</summary>
    Meaning,

    /// <summary>BM25 of the question's words in whole documents.</summary>
    Words,

    /// <summary>Both: the sum of the two scores of each document, each brought to one scale (mean 0, deviation 1 over all documents).</summary>
    Both,
}

/// <summary>How to search.</summary>
public sealed record SearchOptions
{
    /// <summary>By what; null: both, in an index without vectors words.</summary>
    public SearchBy? By { get; init; }

    /// <summary>The most documents.</summary>
    public int Top { get; init; } = 10;

    /// <summary>The most passages of each document.</summary>
    public int Passages { get; init; } = 1;

    /// <summary>How much the score by meaning counts beside the one by words, from 0 to 1, where both are joined.</summary>
    public double MeaningWeight { get; init; } = 0.5;

    /// <summary>How the question is encoded.</summary>
    public EmbeddingOptions Encoding { get; init; } = new();

    internal void Check()
    {
        if (Top < 1)
            throw new InputException("top", "1 or more", $"{Top}");
        if (Passages < 1)
            throw new InputException("passages", "1 or more", $"{Passages}");
        if (MeaningWeight is not (>= 0 and <= 1))
            throw new InputException("meaning weight", "0 to 1", $"{MeaningWeight}");
    }
}

/// <summary>A passage that was found.</summary>
/// <param name="Start">Its first character in the document, in UTF-16 units.</param>
/// <param name="End">The character behind its last one.</param>
/// <param name="Text">The passage.</param>
/// <param name="Score">The cosine, or the passage's part of BM25; as <see cref="SearchBy"/> of the search, of both the cosine.</param>
public sealed record FoundPassage(int Start, int End, string Text, float Score);

/// <summary>A document that was found.</summary>
/// <param name="Document">Its number in the index.</param>
/// <param name="Source">Its name.</param>
/// <param name="Score">The cosine of its best passage, its BM25, or the weighted sum of both on one scale.</param>
/// <param name="Passages">Its best passages, the best first.</param>
public sealed record SearchResult(int Document, string Source, float Score, IReadOnlyList<FoundPassage> Passages);
