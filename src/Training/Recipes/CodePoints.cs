namespace LongformerInterop.Training.Recipes;

/// <summary>Places in texts as data sets count them: in code points, as Python does.</summary>
internal static class CodePoints
{
    /// <summary>The place in UTF-16 of a code point; -1: beyond the text.</summary>
    public static int ToUtf16(string text, long codePoint)
    {
        if (codePoint < 0)
            return -1;
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            return codePoint <= text.Length ? (int)codePoint : -1;
        int at = 0;
        for (long i = 0; i < codePoint; i++)
        {
            if (at >= text.Length)
                return -1;
            at += at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? 2 : 1;
        }
        return at;
    }
}
