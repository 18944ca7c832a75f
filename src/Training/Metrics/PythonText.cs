using System.Globalization;
using System.Text;

namespace LongformerInterop.Training.Metrics;

/// <summary>Python's view of text, by which the official scorers normalize: lower case, words, white space.</summary>
internal static class PythonText
{
    private const int DottedCapitalI = 0x130, CapitalSigma = 0x3A3, FinalSigma = 0x3C2;

    /// <summary>str.lower(): the full mapping, with the final sigma and the dotted capital I.</summary>
    public static string Lower(string text)
    {
        StringBuilder result = new(text.Length);
        Rune[] runes = [.. text.EnumerateRunes()];
        for (int i = 0; i < runes.Length; i++)
        {
            if (runes[i].Value == DottedCapitalI)
                result.Append("i\u0307");
            else if (runes[i].Value == CapitalSigma && IsFinal(runes, i))
                result.Append((char)FinalSigma);
            else
                result.Append(Rune.ToLowerInvariant(runes[i]));
        }
        return result.ToString();
    }

    /// <summary>str.split(): the parts between white space, none of them empty.</summary>
    public static string[] Split(string text)
    {
        List<string> parts = [];
        int from = -1;
        for (int i = 0; i <= text.Length; i++)
        {
            bool ends = i == text.Length || IsSpace(text[i]);
            if (ends && from >= 0)
                parts.Add(text[from..i]);
            if (ends)
                from = -1;
            else if (from < 0)
                from = i;
        }
        return [.. parts];
    }

    /// <summary>A text in which the whole words a, an and the have become a space each.</summary>
    public static string WithoutArticles(string text)
    {
        StringBuilder result = new(text.Length);
        for (int i = 0; i < text.Length;)
        {
            string? article = IsWordBefore(text, i) ? null
                : ((string[])["a", "an", "the"]).FirstOrDefault(word => string.CompareOrdinal(text, i, word, 0, word.Length) == 0
                    && !IsWordAt(text, i + word.Length));
            if (article is null)
            {
                result.Append(text[i++]);
                continue;
            }
            result.Append(' ');
            i += article.Length;
        }
        return result.ToString();
    }

    /// <summary>A text without ASCII punctuation.</summary>
    public static string WithoutPunctuation(string text) => string.Concat(text.Where(c => !IsPunctuation(c)));

    /// <summary>string.punctuation.</summary>
    public static bool IsPunctuation(char c) => char.IsAscii(c) && (char.IsPunctuation(c) || char.IsSymbol(c));

    private static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    private static bool IsWordBefore(string text, int at)
    {
        if (at == 0)
            return false;
        int start = at > 1 && char.IsSurrogatePair(text, at - 2) ? at - 2 : at - 1;
        return IsWord(text, start);
    }

    private static bool IsWordAt(string text, int at) => at < text.Length && IsWord(text, at);

    // \w of Python's re: letters, digits of any kind and the underscore, but no combining marks.
    private static bool IsWord(string text, int at) => text[at] == '_' || CharUnicodeInfo.GetUnicodeCategory(text, at) is
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter
        or UnicodeCategory.OtherLetter or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    // A sigma ends a word where a cased letter is before it and none behind it, with case-ignorable characters in between.
    private static bool IsFinal(Rune[] runes, int at)
    {
        int before = at - 1, after = at + 1;
        while (before >= 0 && IsIgnorable(runes[before]))
            before--;
        while (after < runes.Length && IsIgnorable(runes[after]))
            after++;
        return before >= 0 && IsCased(runes[before]) && !(after < runes.Length && IsCased(runes[after]));
    }

    private static bool IsCased(Rune rune) => Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    private static bool IsIgnorable(Rune rune) => rune.Value is '\'' or '.' or ':' or '\u00B7' or '\u2018' or '\u2019'
        || Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
        or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;
}
