namespace LongformerInterop.Tokenizers;

/// <summary>Which sequence loses tokens when a text is longer than <see cref="EncodeOptions.MaxLength"/> (HF names).</summary>
public enum TruncationStrategy
{
    /// <summary>The longer of the two sequences first, then both alike.</summary>
    LongestFirst,

    /// <summary>Only the first sequence; an error if it is too short for that.</summary>
    OnlyFirst,

    /// <summary>Only the second sequence; an error without one, or if it is too short.</summary>
    OnlySecond,

    /// <summary>Nothing is cut: MaxLength and Stride are ignored.</summary>
    DoNotTruncate,
}

/// <summary>How much of a text that is too long ends up in <see cref="Encoding.Overflowing"/>.</summary>
public enum OverflowExtent
{
    /// <summary>All of it: the parts together cover the text.</summary>
    Complete,

    /// <summary>
    /// As HF's <c>tokenizers</c> since 0.23: each text is read by words only until it has MaxLength tokens (from its end if truncation is on the
    /// left; the first text wholly for OnlySecond), and the text beyond is lost.
    /// </summary>
    UpToLimit,
}

/// <summary>A side of a sequence.</summary>
public enum Side
{
    /// <summary>The end.</summary>
    Right,

    /// <summary>The beginning.</summary>
    Left,
}

/// <summary>How encodings are filled up to one length.</summary>
public sealed record PaddingOptions
{
    /// <summary>The side of the padding; null: as the tokenizer's files say (<c>padding_side</c>).</summary>
    public Side? Side { get; init; }

    /// <summary>Number of tokens to fill up to; null: the longest of the batch. Longer encodings stay as they are.</summary>
    public int? Length { get; init; }

    /// <summary>Rounds the length up to a multiple of this; null or 0: no rounding.</summary>
    public int? MultipleOf { get; init; }
}

/// <summary>The options of <see cref="Tokenizer.Encode"/>.</summary>
public sealed record EncodeOptions
{
    /// <summary>Special tokens on, nothing truncated, nothing padded.</summary>
    public static EncodeOptions Default { get; } = new();

    /// <summary>Whether the special tokens of the model (<c>&lt;s&gt; ... &lt;/s&gt;</c>) are put around the text.</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <summary>Largest number of tokens, special tokens included; null: no limit.</summary>
    public int? MaxLength { get; init; }

    /// <summary>Number of tokens that each overflowing part repeats from the part before it.</summary>
    public int Stride { get; init; }

    /// <summary>Which text is cut when MaxLength is exceeded. The rest is in <see cref="Encoding.Overflowing"/>.</summary>
    public TruncationStrategy Truncation { get; init; } = TruncationStrategy.LongestFirst;

    /// <summary>How much of what is cut off is kept as overflowing parts.</summary>
    public OverflowExtent Overflow { get; init; } = OverflowExtent.Complete;

    /// <summary>Where truncation cuts; null: as the tokenizer's files say (<c>truncation_side</c>).</summary>
    public Side? TruncationSide { get; init; }

    /// <summary>Padding; null: none.</summary>
    public PaddingOptions? Padding { get; init; }

    /// <summary>
    /// Byte-level BPE: whether a text that does not begin with a space is read as if it did (HF <c>add_prefix_space</c>);
    /// null: as the tokenizer's files say. WordPiece has no such notion and ignores it.
    /// </summary>
    public bool? AddPrefixSpace { get; init; }

    /// <summary>
    /// Whether strings like <c>&lt;/s&gt;</c> inside the text are read as plain text instead of as special tokens; null: as the tokenizer's files say
    /// (<c>split_special_tokens</c>).
    /// </summary>
    public bool? SplitSpecialTokens { get; init; }
}
