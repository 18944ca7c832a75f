namespace LongformerInterop.Tokenizers;

/// <summary>A token that is found in the unchanged text, before the model cuts the rest into pieces (HF <c>AddedToken</c>).</summary>
public sealed record AddedToken
{
    /// <summary>The string.</summary>
    public required string Content { get; init; }

    /// <summary>Its id.</summary>
    public required int Id { get; init; }

    /// <summary>Whether decoding can leave it out (<c>skipSpecialTokens</c>).</summary>
    public bool Special { get; init; }

    /// <summary>Whether white space on its left belongs to it, as with <c>&lt;mask&gt;</c>.</summary>
    public bool LeftStrip { get; init; }

    /// <summary>Whether white space on its right belongs to it.</summary>
    public bool RightStrip { get; init; }

    /// <summary>Whether it is found only where no word character touches it.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Whether it is looked for in the normalized text (lower case, no accents) instead of in the given one.</summary>
    public bool Normalized { get; init; }
}
