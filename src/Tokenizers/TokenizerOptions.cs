namespace LongformerInterop.Tokenizers;

/// <summary>Choices at loading; each null means: as the files say.</summary>
public sealed record TokenizerOptions
{
    /// <summary>Byte-level BPE: read texts as if they began with a space.</summary>
    public bool? AddPrefixSpace { get; init; }

    /// <summary>WordPiece: lower case (and, unless <see cref="StripAccents"/> says otherwise, no accents).</summary>
    public bool? LowerCase { get; init; }

    /// <summary>WordPiece: strip accents.</summary>
    public bool? StripAccents { get; init; }
}
