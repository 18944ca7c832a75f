namespace LongformerInterop.Tokenizers;

/// <summary>Ids of the tokens with a role; null where the tokenizer has none.</summary>
public sealed record SpecialTokenIds
{
    /// <summary>Begin of text (<c>bos_token</c>).</summary>
    public int? Begin { get; init; }

    /// <summary>End of text (<c>eos_token</c>).</summary>
    public int? End { get; init; }

    /// <summary>The token whose output represents the text (<c>cls_token</c>).</summary>
    public int? Classifier { get; init; }

    /// <summary>Between and after texts (<c>sep_token</c>).</summary>
    public int? Separator { get; init; }

    /// <summary>Padding (<c>pad_token</c>).</summary>
    public int? Padding { get; init; }

    /// <summary>To be filled in by a masked language model (<c>mask_token</c>).</summary>
    public int? Mask { get; init; }

    /// <summary>The token for text that the vocabulary cannot express (<c>unk_token</c>).</summary>
    public int? Unknown { get; init; }
}
