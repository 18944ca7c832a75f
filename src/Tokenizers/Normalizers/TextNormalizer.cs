using LongformerInterop.Tokenizers.Unicode;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Normalizers;

/// <summary>The changes that a tokenizer.json makes to text before it is cut (HF <c>normalizers</c>).</summary>
internal abstract record TextNormalizer
{
    /// <summary>Changes the text in place.</summary>
    public abstract void Apply(NormalizedText text);

    /// <summary>Normalizes a stretch of text; the ranges of the output count from its start.</summary>
    public void Normalize(ReadOnlySpan<char> text, AlignedText output)
    {
        NormalizedText normalized = new(text);
        Apply(normalized);
        normalized.CopyTo(output);
    }

    /// <summary>Normalizes a string by itself.</summary>
    public string Normalize(string text)
    {
        AlignedText output = new();
        Normalize(text, output);
        return output.Characters.ToString();
    }
}

/// <summary>Several, one after the other.</summary>
internal sealed record NormalizerSequence(IReadOnlyList<TextNormalizer> Steps) : TextNormalizer
{
    public override void Apply(NormalizedText text)
    {
        foreach (TextNormalizer step in Steps)
            step.Apply(text);
    }
}

/// <summary>Lower case, each character for itself.</summary>
internal sealed record Lowercase : TextNormalizer
{
    public override void Apply(NormalizedText text)
    {
        List<(int, int)> lowered = new(text.Count);
        for (int i = 0; i < text.Count; i++)
        {
            if (!UnicodeTables.TryLower(text[i], out ReadOnlySpan<int> parts))
            {
                lowered.Add((text[i], 0));
                continue;
            }

            for (int p = 0; p < parts.Length; p++)
                lowered.Add((parts[p], p == 0 ? 0 : 1));
        }

        text.Transform(lowered);
    }
}

/// <summary>Drops combining marks; precomposed letters keep theirs unless NFD came before.</summary>
internal sealed record StripAccents : TextNormalizer
{
    public override void Apply(NormalizedText text) => text.Filter(c => (UnicodeTables.FlagsOf(c) & CharFlags.Combining) == 0);
}

/// <summary>Drops white space at the ends.</summary>
internal sealed record Strip(bool Left, bool Right) : TextNormalizer
{
    public override void Apply(NormalizedText text)
    {
        int start = 0, end = text.Count;
        while (Left && start < end && IsSpace(text[start]))
            start++;
        while (Right && end > start && IsSpace(text[end - 1]))
            end--;
        text.Slice(start, end);
    }

    private static bool IsSpace(int c) => (UnicodeTables.FlagsOf(c) & CharFlags.Space) != 0;
}

/// <summary>Puts a string in front of a text that is not empty.</summary>
internal sealed record Prepend(string Text) : TextNormalizer
{
    public override void Apply(NormalizedText text) => text.Prepend(Text);
}

/// <summary>Replaces every occurrence of a string.</summary>
internal sealed record Replace(string Pattern, string Content) : TextNormalizer
{
    public override void Apply(NormalizedText text) => text.Replace(Pattern, Content);
}

/// <summary>SentencePiece's NMT rules: no control characters, spaces for what counts as one.</summary>
internal sealed record Nmt : TextNormalizer
{
    public override void Apply(NormalizedText text)
    {
        text.Filter(c => c is not ((>= 0x01 and <= 0x08) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F));
        text.Map(c => c is 0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF
            or 0xFFFD ? ' ' : c);
    }
}

/// <summary>BERT's steps, as one among others; <see cref="BertNormalizer"/> does the same faster where it is alone.</summary>
internal sealed record BertSteps(BertNormalizer Settings) : TextNormalizer
{
    private static readonly UnicodeForm Decomposition = new(Compose: false, Compatible: false);
    private static readonly Lowercase LowerCase = new();

    public override void Apply(NormalizedText text)
    {
        if (Settings.CleanText)
        {
            text.Filter(c => !Has(c, CharFlags.Control));
            text.Map(c => Has(c, CharFlags.Space) ? ' ' : c);
        }

        if (Settings.ChineseCharacters)
            text.Transform(SetApart(text));
        if (Settings.StripAccents)
        {
            Decomposition.Apply(text);
            text.Filter(c => !Has(c, CharFlags.Mark));
        }

        if (Settings.LowerCase)
            LowerCase.Apply(text);
    }

    private static bool Has(int c, CharFlags flag) => (UnicodeTables.FlagsOf(c) & flag) != 0;

    private static List<(int, int)> SetApart(NormalizedText text)
    {
        List<(int, int)> result = new(text.Count);
        for (int i = 0; i < text.Count; i++)
        {
            if (Has(text[i], CharFlags.Chinese))
                result.AddRange([(' ', 0), (text[i], 1), (' ', 1)]);
            else
                result.Add((text[i], 0));
        }

        return result;
    }
}
