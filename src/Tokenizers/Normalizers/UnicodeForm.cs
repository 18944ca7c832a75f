using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.Normalizers;

/// <summary>
/// NFC, NFD, NFKC and NFKD with the alignment of the reference: of the characters that one becomes, the first takes its range, the others are added;
/// composing drops the characters that went into the first.
/// </summary>
/// <param name="Compose">NFC and NFKC.</param>
/// <param name="Compatible">NFKC and NFKD.</param>
internal sealed record UnicodeForm(bool Compose, bool Compatible) : TextNormalizer
{
    public override void Apply(NormalizedText text)
    {
        // Nothing below these takes part in any decomposition, or, for NFC, in any composition.
        if (text.AllBelow(Compatible ? 0xA0 : Compose ? 0x300 : 0xC0))
            return;
        List<(int Character, int Change)> decomposed = Decompose(text);
        text.Transform(Compose ? Recompose(decomposed) : decomposed);
    }

    private List<(int Character, int Change)> Decompose(NormalizedText text)
    {
        List<(int Character, int Change)> result = new(text.Count);
        int[] canonical = new int[8];
        int pending = 0;
        for (int i = 0; i < text.Count; i++)
        {
            ReadOnlySpan<int> parts;
            if (!(Compatible && UnicodeTables.TryDecomposeCompatibly(text[i], out parts)))
            {
                int count;
                if (!UnicodeTables.TryDecompose(text[i], canonical, out count))
                {
                    canonical[0] = text[i];
                    count = 1;
                }

                parts = canonical.AsSpan(0, count);
            }

            for (int p = 0; p < parts.Length; p++)
            {
                if (UnicodeTables.CombiningClass(parts[p]) == 0)
                {
                    SortMarks(result, pending);
                    pending = result.Count;
                }

                result.Add((parts[p], p == 0 ? 0 : 1));
            }
        }

        SortMarks(result, pending);
        return result;
    }

    /// <summary>Puts marks into canonical order; equal classes keep theirs.</summary>
    private static void SortMarks(List<(int Character, int Change)> text, int from)
    {
        for (int i = from + 1; i < text.Count; i++)
        {
            (int Character, int Change) item = text[i];
            int combining = UnicodeTables.CombiningClass(item.Character);
            int to = i;
            for (; to > from && UnicodeTables.CombiningClass(text[to - 1].Character) > combining; to--)
                text[to] = text[to - 1];
            text[to] = item;
        }
    }

    private static List<(int Character, int Change)> Recompose(List<(int Character, int Change)> text)
    {
        List<(int Character, int Change)> result = new(text.Count);
        List<(int Character, int Change)> marks = [];
        (int Character, int Change)? starter = null;
        int lastClass = -1; // of the marks held back; -1: none
        foreach ((int character, int change) in text)
        {
            int combining = UnicodeTables.CombiningClass(character);
            if (starter is not { } held)
            {
                if (combining != 0)
                    result.Add((character, change));
                else
                    starter = (character, change);
                continue;
            }

            bool blocked = lastClass >= 0 && lastClass >= combining;
            if (!blocked && UnicodeTables.TryCompose(held.Character, character, out int composed))
            {
                starter = (composed, held.Change + change - 1);
            }
            else if (combining == 0 && (blocked || lastClass < 0))
            {
                result.Add(held);
                result.AddRange(marks);
                marks.Clear();
                lastClass = -1;
                starter = (character, change);
            }
            else
            {
                marks.Add((character, change));
                lastClass = combining;
            }
        }

        if (starter is { } last)
            result.Add(last);
        result.AddRange(marks);
        return result;
    }
}
