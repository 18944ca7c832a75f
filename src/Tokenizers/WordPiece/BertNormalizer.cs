using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.WordPiece;

/// <summary>
/// BERT's normalization: clean text, spaces around Chinese characters, no accents (canonical decomposition without nonspacing marks), lower case,
/// in that order, character by character as HF's BertNormalizer.
/// </summary>
/// <param name="CleanText">Drop control characters and U+FFFD; make every white space a space.</param>
/// <param name="ChineseCharacters">Put spaces around Chinese characters.</param>
/// <param name="StripAccents">Decompose and drop nonspacing marks.</param>
/// <param name="LowerCase">Lower case, each character for itself.</param>
internal sealed record BertNormalizer(bool CleanText, bool ChineseCharacters, bool StripAccents, bool LowerCase)
{
    /// <summary>Nothing is changed.</summary>
    public static BertNormalizer None { get; } = new(false, false, false, false);

    /// <summary>Normalizes a stretch of text.</summary>
    /// <param name="text">The stretch.</param>
    /// <param name="output">Takes the characters; their ranges count from the start of the stretch.</param>
    public void Normalize(ReadOnlySpan<char> text, AlignedText output)
    {
        output.Clear();
        for (int i = 0; i < text.Length;)
        {
            int c = UnicodeTables.CodePointAt(text, i, out int units);
            Add(c, i, i + units, output);
            i += units;
        }

        output.FlushMarks(this);
    }

    /// <summary>Normalizes a string by itself.</summary>
    public string Normalize(string text)
    {
        AlignedText output = new();
        Normalize(text, output);
        return output.Characters.ToString();
    }

    private void Add(int c, int start, int end, AlignedText output)
    {
        CharFlags flags = UnicodeTables.FlagsOf(c);
        if (CleanText)
        {
            if ((flags & CharFlags.Control) != 0)
                return;
            if ((flags & CharFlags.Space) != 0)
                c = ' ';
        }

        if (ChineseCharacters && (flags & CharFlags.Chinese) != 0)
        {
            AddDecomposed(' ', start, end, output);
            AddDecomposed(c, start, end, output);
            AddDecomposed(' ', start, end, output);
            return;
        }

        AddDecomposed(c, start, end, output);
    }

    private void AddDecomposed(int c, int start, int end, AlignedText output)
    {
        if (!StripAccents)
        {
            AddLowered(c, start, end, output);
            return;
        }

        Span<int> parts = stackalloc int[8];
        if (!UnicodeTables.TryDecompose(c, parts, out int count))
        {
            parts[0] = c;
            count = 1;
        }

        for (int i = 0; i < count; i++)
        {
            int combining = UnicodeTables.CombiningClass(parts[i]);
            if (combining == 0)
                output.FlushMarks(this);
            output.Hold(parts[i], combining, isFirst: i == 0, start, end);
        }
    }

    /// <summary>Writes one character unless it is a mark to be dropped.</summary>
    internal void Emit(int c, int start, int end, AlignedText output)
    {
        if ((UnicodeTables.FlagsOf(c) & CharFlags.Mark) == 0)
            AddLowered(c, start, end, output);
    }

    private void AddLowered(int c, int start, int end, AlignedText output)
    {
        if (!LowerCase || !UnicodeTables.TryLower(c, out ReadOnlySpan<int> lower))
        {
            output.Add(c, start, end);
            return;
        }

        foreach (int l in lower)
            output.Add(l, start, end);
    }
}
