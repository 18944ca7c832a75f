namespace LongformerInterop.Tokenizers.Text;

/// <summary>Which tokens of each text stay, and how the rest is cut into parts; exactly HF's rules.</summary>
internal static class Truncation
{
    /// <summary>How many tokens of each text the first encoding keeps.</summary>
    /// <param name="first">Tokens of the first text.</param>
    /// <param name="second">Tokens of the second text; null without one.</param>
    /// <param name="room">Tokens of text that fit with the special tokens.</param>
    /// <param name="strategy">Which text may be cut.</param>
    public static (int First, int Second) Lengths(int first, int? second, int room, TruncationStrategy strategy)
    {
        int excess = first + (second ?? 0) - room;
        if (excess <= 0)
            return (first, second ?? 0);
        if (room == 0)
            return (0, 0);
        switch (strategy)
        {
            case TruncationStrategy.LongestFirst when second is null:
                return (first - excess, 0);
            case TruncationStrategy.LongestFirst:
            {
                int shorter = Math.Min(first, second.Value);
                int longer = shorter > room ? shorter : Math.Max(shorter, room - shorter);
                if (shorter + longer > room)
                    (shorter, longer) = (room / 2, (room / 2) + (room % 2));
                return first > second ? (longer, shorter) : (shorter, longer);
            }

            case TruncationStrategy.OnlyFirst:
                return (Shorten(first, excess, "first"), second ?? 0);
            default:
                if (second is null)
                    throw new TokenizerInputException("truncation: expected a second text for the strategy OnlySecond, given one text only");
                return (first, Shorten(second.Value, excess, "second"));
        }
    }

    /// <summary>The ranges of tokens that a text of <paramref name="count"/> tokens falls into; the first is the one that stays.</summary>
    public static List<Range> Parts(int count, int length, int stride, Side side)
    {
        if (length >= count)
            return [0..count];
        if (length == 0)
            return [0..0, 0..count];
        if (stride >= length)
        {
            throw new TokenizerInputException(
                $"truncation: expected a stride below the {length} tokens of text that fit with the special tokens, given {stride}");
        }

        List<Range> parts = [];
        for (int at = 0; ; at += length - stride)
        {
            int near = at, far = Math.Min(at + length, count);
            parts.Add(side == Side.Right ? near..far : (count - far)..(count - near));
            if (far == count)
                return parts;
        }
    }

    private static int Shorten(int length, int excess, string which) =>
        length > excess
            ? length - excess
            : throw new TokenizerInputException(
                $"truncation: expected a {which} text of more than {excess} tokens, all of which must be cut from it alone, given {length} tokens");
}
