using System.Runtime.CompilerServices;
using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>
/// The pre-tokenizer pattern of GPT-2, written out by hand:
/// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.
/// It works on code points: a regular expression over UTF-16 would see surrogates where the reference sees letters. Pieces cover the text.
/// </summary>
internal static class Gpt2Splitter
{
    private const CharFlags KindMask = CharFlags.Letter | CharFlags.Number | CharFlags.Space;

    private static readonly byte[] AsciiKinds = [.. Enumerable.Range(0, 128).Select(c => (byte)(UnicodeTables.FlagsOf(c) & KindMask))];

    /// <summary>Where the piece that starts at a position ends.</summary>
    public static int PieceEnd(ReadOnlySpan<char> text, int start)
    {
        char c = text[start];
        if (c == ' ' && start + 1 < text.Length)
        {
            int kind = KindAt(text, start + 1, out int units);
            return kind == (int)CharFlags.Space ? WhiteSpaceEnd(text, start) : RunEnd(text, start + 1 + units, kind);
        }

        if (c == '\'' && ContractionLength(text[(start + 1)..]) is > 0 and int length)
            return start + 1 + length;

        int own = KindAt(text, start, out int ownUnits);
        return own == (int)CharFlags.Space ? WhiteSpaceEnd(text, start) : RunEnd(text, start + ownUnits, own);
    }

    /// <summary>Where the first piece ends if a space was before the text, which begins with none; 0 if that space is its own piece.</summary>
    public static int FirstPieceEndAfterSpace(ReadOnlySpan<char> text)
    {
        int kind = KindAt(text, 0, out int units);
        if (kind != (int)CharFlags.Space)
            return RunEnd(text, units, kind);
        int end = RunEnd(text, 1, kind);
        return end == text.Length ? end : end - 1;
    }

    /// <summary><c>\s+(?!\S)|\s+</c>: white space before a word leaves its last character, which may belong to that word.</summary>
    private static int WhiteSpaceEnd(ReadOnlySpan<char> text, int start)
    {
        int end = RunEnd(text, start + 1, (int)CharFlags.Space);
        return end == text.Length || end == start + 1 ? end : end - 1;
    }

    private static int ContractionLength(ReadOnlySpan<char> rest)
    {
        if (rest.IsEmpty)
            return 0;
        char second = rest.Length > 1 ? rest[1] : '\0';
        return rest[0] switch
        {
            's' or 't' or 'm' or 'd' => 1,
            'r' or 'v' when second == 'e' => 2,
            'l' when second == 'l' => 2,
            _ => 0,
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int RunEnd(ReadOnlySpan<char> text, int position, int kind)
    {
        byte[] kinds = AsciiKinds;
        while ((uint)position < (uint)text.Length)
        {
            char c = text[position];
            if (c < kinds.Length)
            {
                if (kinds[c] != kind)
                    return position;
                position++;
            }
            else
            {
                if (KindAt(text, position, out int units) != kind)
                    return position;
                position += units;
            }
        }

        return position;
    }

    private static int KindAt(ReadOnlySpan<char> text, int position, out int units)
    {
        char c = text[position];
        units = 1;
        return c < AsciiKinds.Length
            ? AsciiKinds[c]
            : (int)(UnicodeTables.FlagsOf(UnicodeTables.CodePointAt(text, position, out units)) & KindMask);
    }
}
