using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Search;

/// <summary>Cuts a text into passages.</summary>
internal static class Passages
{
    /// <summary>The ranges of characters of the passages of a text, in order; together they hold everything but white space, and none is
    /// empty.</summary>
    /// <param name="text">The text.</param>
    /// <param name="units">The ranges of its tokens or words, ascending. Empty ones belong to the passage of the unit before.</param>
    /// <param name="most">The most units of a passage.</param>
    public static List<TextRange> Cut(string text, ReadOnlySpan<TextRange> units, int most)
    {
        List<TextRange> passages = [];
        int end = 0;
        for (int from = 0; from < units.Length;)
        {
            int to = Math.Min(units.Length, from + most);
            if (to < units.Length)
                to = BestEnd(text, units, from, to);
            // Tokens may share a character: it is not cut.
            while (to > from + 1 && to < units.Length && units[to].Start < units[to - 1].End)
                to--;
            int start = end;
            end = Math.Max(end, to < units.Length ? units[to].Start : text.Length);
            int first = start, last = end;
            while (first < last && char.IsWhiteSpace(text[first]))
                first++;
            while (last > first && char.IsWhiteSpace(text[last - 1]))
                last--;
            if (last > first)
                passages.Add(new TextRange(first, last));
            from = to;
        }
        return passages;
    }

    /// <summary>The place to cut at in the second half: behind the last paragraph that ends there, else line, sentence or word, else
    /// <paramref name="to"/>.</summary>
    private static int BestEnd(string text, ReadOnlySpan<TextRange> units, int from, int to)
    {
        int line = 0, sentence = 0, word = 0;
        for (int at = to; at > from + ((to - from) / 2); at--)
        {
            TextRange next = units[at];
            if (next.End == next.Start)
                continue;
            int gap = next.Start;
            while (gap > 0 && char.IsWhiteSpace(text[gap - 1]))
                gap--;
            ReadOnlySpan<char> space = text.AsSpan(gap, next.Start - gap);
            if (space.Count('\n') > 1)
                return at;
            if (line == 0 && space.Contains('\n'))
                line = at;
            if (sentence == 0 && space.Length > 0 && gap > 0 && text[gap - 1] is '.' or '!' or '?')
                sentence = at;
            if (word == 0 && space.Length > 0)
                word = at;
        }
        return line > 0 ? line : sentence > 0 ? sentence : word > 0 ? word : to;
    }
}
