using System.Globalization;
using System.Text;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Search;

/// <summary>
/// The words of a text, as BM25 counts them: runs of letters, digits and marks in lower case; of Chinese and Japanese, which put no spaces between
/// words, every character.
/// </summary>
internal static class Words
{
    /// <summary>The words with their ranges, in order.</summary>
    public static IEnumerable<(string Word, TextRange Range)> Of(string text)
    {
        int start = -1;
        for (int i = 0; i <= text.Length;)
        {
            Rune rune = default;
            int length = 1;
            bool inside = i < text.Length && Rune.TryGetRuneAt(text, i, out rune) && IsPart(rune);
            if (inside)
                length = rune.Utf16SequenceLength;
            bool alone = inside && IsIdeograph(rune);
            if (start >= 0 && (!inside || alone))
            {
                yield return Found(text, start, i);
                start = -1;
            }
            if (alone)
                yield return Found(text, i, i + length);
            else if (inside && start < 0)
                start = i;
            i += length;
        }
    }

    private static (string, TextRange) Found(string text, int start, int end) => (text[start..end].ToLowerInvariant(), new TextRange(start, end));

    private static bool IsPart(Rune rune) => Rune.IsLetterOrDigit(rune)
        || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;

    private static bool IsIdeograph(Rune rune) => rune.Value is (>= 0x3040 and <= 0x30FF) or (>= 0x3400 and <= 0x9FFF) or (>= 0xF900 and <= 0xFAFF)
        or (>= 0x20000 and <= 0x3FFFF);
}
