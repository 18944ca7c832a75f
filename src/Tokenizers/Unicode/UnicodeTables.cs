namespace LongformerInterop.Tokenizers.Unicode;

/// <summary>The reference's treatment of a code point.</summary>
[Flags]
internal enum CharFlags : ushort
{
    None = 0,

    /// <summary>\p{L} of the GPT-2 pattern.</summary>
    Letter = 1,

    /// <summary>\p{N} of the GPT-2 pattern.</summary>
    Number = 2,

    /// <summary>White space (\s; U+001C..U+001F are not).</summary>
    Space = 4,

    /// <summary>Removed by BERT's text cleaning.</summary>
    Control = 8,

    /// <summary>Punctuation for BERT, its own token.</summary>
    Punctuation = 16,

    /// <summary>A Chinese character for BERT, its own word.</summary>
    Chinese = 32,

    /// <summary>Removed by accent stripping after decomposition.</summary>
    Mark = 64,

    /// <summary>\w, for added tokens that must be single words.</summary>
    Word = 128,

    /// <summary>Has a canonical decomposition in the table (Hangul syllables have theirs by arithmetic).</summary>
    Decomposes = 256,

    /// <summary>Differs from its lower case.</summary>
    Lowers = 512,

    /// <summary>A combining mark of any kind, removed by the normalizer StripAccents.</summary>
    Combining = 1024,
}

/// <summary>
/// Character properties exactly as the reference sees them. .NET's own are not used: its Unicode version differs from those in the reference
/// (which has three), and string.Normalize does nothing under InvariantGlobalization.
/// </summary>
internal static partial class UnicodeTables
{
    private const int HangulFirst = 0xAC00, HangulCount = 11172;
    private const int LeadFirst = 0x1100, LeadCount = 19, VowelFirst = 0x1161, VowelCount = 21, TrailFirst = 0x11A7, TrailCount = 28;

    private static readonly TwoLevelTable Flags = new(FlagRuns);
    private static readonly TwoLevelTable Combining = new(CombiningRuns);
    private static readonly Dictionary<int, int[]> DecompositionOf = ReadMapping(Decompositions);
    private static readonly Dictionary<int, int[]> LowerCaseOf = ReadMapping(LowerCase);
    private static readonly Lazy<Dictionary<int, int[]>> CompatibleOf = new(() => ReadMapping(CompatibleDecompositions));
    private static readonly Lazy<Dictionary<(int, int), int>> CompositionOf =
        new(() => ReadMapping(Compositions).ToDictionary(e => (e.Value[0], e.Value[1]), e => e.Key));

    /// <summary>Properties of a code point; surrogates have none.</summary>
    public static CharFlags FlagsOf(int codePoint) => (CharFlags)Flags[codePoint];

    /// <summary>Canonical combining class; 0 for a starter.</summary>
    public static int CombiningClass(int codePoint) => Combining[codePoint];

    /// <summary>Full canonical decomposition; false if the character stays as it is.</summary>
    /// <param name="codePoint">The character.</param>
    /// <param name="parts">At least four entries to write to.</param>
    /// <param name="count">How many were written.</param>
    public static bool TryDecompose(int codePoint, Span<int> parts, out int count)
    {
        count = 0;
        uint hangul = (uint)(codePoint - HangulFirst);
        if (hangul < HangulCount)
        {
            // Unicode Standard, section 3.12: syllable = (leading * 21 + vowel) * 28 + trailing.
            (uint block, uint trailing) = Math.DivRem(hangul, 28);
            parts[count++] = 0x1100 + (int)(block / 21);
            parts[count++] = 0x1161 + (int)(block % 21);
            if (trailing != 0)
                parts[count++] = 0x11A7 + (int)trailing;
            return true;
        }

        if ((FlagsOf(codePoint) & CharFlags.Decomposes) == 0)
            return false;
        ReadOnlySpan<int> found = DecompositionOf[codePoint];
        found.CopyTo(parts);
        count = found.Length;
        return true;
    }

    /// <summary>Full compatibility decomposition where it differs from the canonical one; false otherwise.</summary>
    public static bool TryDecomposeCompatibly(int codePoint, out ReadOnlySpan<int> parts)
    {
        bool found = CompatibleOf.Value.TryGetValue(codePoint, out int[]? known);
        parts = known;
        return found;
    }

    /// <summary>The character that two compose (NFC); false if there is none.</summary>
    public static bool TryCompose(int first, int second, out int composed)
    {
        // Unicode Standard, section 3.12: leading and vowel make a syllable, and a syllable without a trailing consonant takes one.
        (uint lead, uint vowel) = ((uint)(first - LeadFirst), (uint)(second - VowelFirst));
        if (lead < LeadCount && vowel < VowelCount)
        {
            composed = HangulFirst + (int)(((lead * VowelCount) + vowel) * TrailCount);
            return true;
        }

        (uint syllable, uint trail) = ((uint)(first - HangulFirst), (uint)(second - TrailFirst));
        if (syllable < HangulCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
        {
            composed = first + (int)trail;
            return true;
        }

        return CompositionOf.Value.TryGetValue((first, second), out composed);
    }

    /// <summary>Lower case of one character, without context; false if the character stays as it is.</summary>
    public static bool TryLower(int codePoint, out ReadOnlySpan<int> parts)
    {
        parts = default;
        if ((FlagsOf(codePoint) & CharFlags.Lowers) == 0)
            return false;
        parts = LowerCaseOf[codePoint];
        return true;
    }

    /// <summary>The code point at a position and its number of UTF-16 units; U+FFFD for a lone surrogate, as a conversion to UTF-8 gives.</summary>
    public static int CodePointAt(ReadOnlySpan<char> text, int position, out int units)
    {
        char c = text[position];
        units = 1;
        if (!char.IsSurrogate(c))
            return c;
        if (char.IsHighSurrogate(c) && position + 1 < text.Length && char.IsLowSurrogate(text[position + 1]))
        {
            units = 2;
            return char.ConvertToUtf32(c, text[position + 1]);
        }

        return 0xFFFD;
    }

    private static Dictionary<int, int[]> ReadMapping(string base64)
    {
        Dictionary<int, int[]> result = [];
        VarintReader reader = new(base64);
        int source = 0;
        while (reader.More)
        {
            source += reader.Next();
            int[] targets = new int[reader.Next()];
            int last = source;
            for (int i = 0; i < targets.Length; i++)
                targets[i] = last += reader.NextSigned();
            result.Add(source, targets);
        }

        return result;
    }

    private struct VarintReader(string base64)
    {
        private readonly byte[] _data = Convert.FromBase64String(base64);
        private int _at;

        public readonly bool More => _at < _data.Length;

        public int Next()
        {
            int value = 0, shift = 0;
            byte b;
            do
            {
                b = _data[_at++];
                value |= (b & 127) << shift;
                shift += 7;
            }
            while (b > 127);
            return value;
        }

        public int NextSigned()
        {
            int n = Next();
            return (n & 1) == 0 ? n >> 1 : -((n + 1) >> 1);
        }
    }

    /// <summary>A value per code point; blocks of 256 that are equal are stored once.</summary>
    private sealed class TwoLevelTable
    {
        private readonly ushort[] _block = new ushort[0x1100];
        private readonly ushort[] _values;

        public TwoLevelTable(string base64)
        {
            ushort[] flat = new ushort[0x110000];
            VarintReader reader = new(base64);
            for (int at = 0; reader.More;)
            {
                int length = reader.Next();
                flat.AsSpan(at, length).Fill((ushort)reader.Next());
                at += length;
            }

            List<ushort> values = [];
            Dictionary<string, ushort> known = [];
            for (int b = 0; b < _block.Length; b++)
            {
                ReadOnlySpan<ushort> block = flat.AsSpan(b << 8, 256);
                string key = new(System.Runtime.InteropServices.MemoryMarshal.Cast<ushort, char>(block));
                if (!known.TryGetValue(key, out ushort index))
                {
                    index = (ushort)(values.Count >> 8);
                    known.Add(key, index);
                    values.AddRange(block);
                }

                _block[b] = index;
            }

            _values = [.. values];
        }

        public ushort this[int codePoint] => _values[(_block[codePoint >> 8] << 8) | (codePoint & 255)];
    }
}
