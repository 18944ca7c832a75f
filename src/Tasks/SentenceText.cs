using System.Globalization;
using System.Text;

namespace LongformerInterop.Tasks;

/// <summary>The changes of sentence-transformers to a text before its tokenizer: Python's <c>str.strip</c> and <c>str.lower</c>, which .NET's own
/// differ from.</summary>
internal static class SentenceText
{
    // Word_Break MidLetter, MidNumLet and Single_Quote of Unicode, which are case-ignorable beside the categories below.
    private const string IgnorableMarks = "'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A";

    /// <summary>The text without the white space at its ends, as Python counts white space: .NET's, and the separators U+001C to U+001F.</summary>
    public static string Strip(string text)
    {
        int from = 0, to = text.Length;
        while (from < to && IsSpace(text[from]))
            from++;
        while (to > from && IsSpace(text[to - 1]))
            to--;
        return text[from..to];

        static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001C' and <= '\u001F';
    }

    /// <summary>Lower case by Unicode's full mapping: I with a dot becomes two characters, and a sigma at the end of a word the final one.</summary>
    public static string Lower(string text)
    {
        if (text.AsSpan().IndexOfAny('\u0130', '\u03A3') < 0)
            return text.ToLowerInvariant();
        StringBuilder lower = new(text.Length + 8);
        for (int i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '\u0130':
                    lower.Append("i\u0307");
                    break;
                case '\u03A3':
                    lower.Append(IsFinal(text, i) ? '\u03C2' : '\u03C3');
                    break;
                default:
                    lower.Append(text[i]);
                    break;
            }
        }
        return lower.ToString().ToLowerInvariant();
    }

    /// <summary>Unicode's Final_Sigma: a cased letter before it and none behind it, what is case-ignorable passed over.</summary>
    private static bool IsFinal(string text, int at) => NextCased(text, at, -1) && !NextCased(text, at, 1);

    private static bool NextCased(string text, int at, int step)
    {
        for (int i = at + step; i >= 0 && i < text.Length; i += step)
        {
            // The first half of a pair counts for the pair.
            Rune rune = char.IsSurrogate(text[i]) ? RuneAt(text, ref i, step) : new Rune(text[i]);
            UnicodeCategory category = Rune.GetUnicodeCategory(rune);
            bool ignorable = category is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
                or UnicodeCategory.ModifierLetter
                or UnicodeCategory.ModifierSymbol || (rune.IsBmp && IgnorableMarks.Contains((char)rune.Value, StringComparison.Ordinal));
            if (!ignorable)
            {
                return category is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                    || rune.Value is 0xAA or 0xBA or (>= 0x2160 and <= 0x217F) or (>= 0x24B6 and <= 0x24E9);
            }
        }
        return false;
    }

    private static Rune RuneAt(string text, ref int i, int step)
    {
        int first = step < 0 && i > 0 && char.IsLowSurrogate(text[i]) ? i - 1 : i;
        if (!Rune.TryGetRuneAt(text, first, out Rune rune))
            return Rune.ReplacementChar;
        i = step < 0 ? first : first + 1;
        return rune;
    }
}
