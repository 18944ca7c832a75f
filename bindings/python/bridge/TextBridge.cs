using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.PythonNet;

/// <summary>Positions of a text from UTF-16 units to code points.</summary>
/// <param name="text">The text.</param>
public sealed class CodePointIndex(string text)
{
    // A text inside the basic plane, nearly every one, needs no table.
    private readonly int[]? _table = text.Any(char.IsSurrogate) ? Table(text) : null;

    /// <summary>The code points before a position.</summary>
    public int At(int position) => _table is null ? position : _table[position];

    /// <summary>The code points before one position of a text.</summary>
    public static int Before(string text, int position)
    {
        ArgumentNullException.ThrowIfNull(text);
        int pairs = 0;
        for (int i = 1; i < position; i++)
        {
            if (char.IsSurrogatePair(text[i - 1], text[i]))
                pairs++;
        }
        return position - pairs;
    }

    /// <summary>The position in UTF-16 units of a number of code points; numbers beyond the text stay beyond it.</summary>
    public static int After(string text, int codePoints)
    {
        ArgumentNullException.ThrowIfNull(text);
        int position = 0;
        for (int left = codePoints; left > 0 && position < text.Length; left--)
            position += position + 1 < text.Length && char.IsSurrogatePair(text[position], text[position + 1]) ? 2 : 1;
        return codePoints < 0 ? codePoints : position + Math.Max(0, codePoints - Before(text, position));
    }

    private static int[] Table(string text)
    {
        int[] table = new int[text.Length + 1];
        for (int i = 0; i < text.Length; i++)
            table[i + 1] = table[i] + (i > 0 && char.IsSurrogatePair(text[i - 1], text[i]) ? 0 : 1);
        return table;
    }
}

/// <summary>An encoding as one int32 tensor: rows ids, starts, ends (code points), sequence ids, type ids, special mask, attention mask.</summary>
/// <param name="Matrix">[7, N]; the receiver disposes it.</param>
/// <param name="Overflowing">The parts that were cut off.</param>
public sealed record EncodedText(Tensor Matrix, EncodedText[] Overflowing);

/// <summary>Tokenizers in terms that pythonnet can pass.</summary>
public static class TextBridge
{
    /// <summary>Encodes a text.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="text">The text.</param>
    /// <param name="pair">A second text, or null.</param>
    /// <param name="special">Whether special tokens are put around.</param>
    /// <param name="maxLength">Limit, or null.</param>
    /// <param name="stride">Tokens that parts share.</param>
    /// <param name="truncation">HF's name of the strategy.</param>
    /// <param name="prefixSpace">Null: as the files say.</param>
    public static EncodedText Encode(Tokenizer tokenizer, string text, string? pair, bool special, int? maxLength, int stride, string truncation,
        bool? prefixSpace)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(truncation);
        return Pack(tokenizer.Encode(text, pair, Options(special, maxLength, stride, truncation, prefixSpace)));
    }

    /// <summary>Encodes many texts.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="pairs">As many second texts, or null.</param>
    /// <param name="special">Whether special tokens are put around.</param>
    /// <param name="maxLength">Limit, or null.</param>
    /// <param name="truncation">HF's name of the strategy.</param>
    /// <param name="prefixSpace">Null: as the files say.</param>
    /// <param name="padding">none, longest or max_length.</param>
    /// <param name="paddingSide">right or left; null: as the tokenizer's files say.</param>
    /// <param name="multipleOf">Lengths are rounded up to a multiple of it; null: they are not.</param>
    public static EncodedText[] EncodeBatch(Tokenizer tokenizer, string[] texts, string[]? pairs, bool special, int? maxLength, string truncation,
        bool? prefixSpace, string padding, string? paddingSide, int? multipleOf)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(truncation);
        PaddingOptions filled = new()
        {
            Length = padding == "max_length" ? maxLength : null,
            Side = paddingSide switch { null => null, "left" => Side.Left, _ => Side.Right },
            MultipleOf = multipleOf,
        };
        EncodeOptions options = Options(special, maxLength, 0, truncation, prefixSpace) with { Padding = padding == "none" ? null : filled };
        return [.. tokenizer.EncodeBatch(texts, pairs, options).Select(Pack)];
    }

    /// <summary>Tokens as text.</summary>
    public static string Decode(Tokenizer tokenizer, int[] ids, bool skipSpecialTokens)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return tokenizer.Decode(ids, skipSpecialTokens);
    }

    private static EncodeOptions Options(bool special, int? maxLength, int stride, string truncation, bool? prefixSpace) => new()
    {
        AddSpecialTokens = special,
        MaxLength = maxLength,
        Stride = stride,
        Truncation = Enum.Parse<TruncationStrategy>(truncation.Replace("_", "", StringComparison.Ordinal), ignoreCase: true),
        AddPrefixSpace = prefixSpace,
    };

    private static EncodedText Pack(Encoding encoding)
    {
        int n = encoding.Count;
        int[] values = new int[7 * n];
        TextRange[] offsets = encoding.GetOffsets(OffsetUnit.CodePoint);
        encoding.Ids.Span.CopyTo(values);
        for (int i = 0; i < n; i++)
            (values[n + i], values[(2 * n) + i]) = (offsets[i].Start, offsets[i].End);
        encoding.SequenceIds.Span.CopyTo(values.AsSpan(3 * n));
        encoding.TypeIds.Span.CopyTo(values.AsSpan(4 * n));
        encoding.SpecialTokensMask.Span.CopyTo(values.AsSpan(5 * n));
        encoding.AttentionMask.Span.CopyTo(values.AsSpan(6 * n));
        return new EncodedText(Tensor.From<int>(values, 7, n), [.. encoding.Overflowing.Select(Pack)]);
    }
}
