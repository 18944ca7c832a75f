namespace LongformerInterop.Tokenizers;

/// <summary>A stretch of tokens that share everything but id and offset. Masks are made from it on demand.</summary>
/// <param name="Start">Index of the first token; the run ends where the next begins.</param>
/// <param name="Sequence">0, 1, or -1 for tokens that belong to no text.</param>
/// <param name="TypeId">Token type.</param>
/// <param name="Special">Whether the tokens were added around the text.</param>
/// <param name="Attended">False for padding.</param>
internal readonly record struct TokenRun(int Start, int Sequence, int TypeId, bool Special, bool Attended);

/// <summary>
/// A text, or a pair of texts, as tokens. Immutable. Only ids and offsets are stored per token; the masks are made when first asked for.
/// It keeps a reference to the texts for <see cref="GetOffsets"/>.
/// </summary>
public sealed class Encoding
{
    private readonly TokenRun[] _runs;
    private readonly string _text;
    private readonly string? _pair;
    private int[]? _sequenceIds, _typeIds, _specialTokensMask, _attentionMask;

    internal Encoding(
        ReadOnlyMemory<int> ids, ReadOnlyMemory<TextRange> offsets, TokenRun[] runs, string text, string? pair, IReadOnlyList<Encoding> overflowing)
    {
        Ids = ids;
        Offsets = offsets;
        Overflowing = overflowing;
        _runs = runs;
        _text = text;
        _pair = pair;
    }

    /// <summary>Number of tokens N, special tokens and padding included.</summary>
    public int Count => Ids.Length;

    /// <summary>Token ids [N].</summary>
    public ReadOnlyMemory<int> Ids { get; }

    /// <summary>
    /// Per token its range in its text, in UTF-16 units [N]; (0, 0) for special tokens and padding. Leading spaces are left out, a token of
    /// only spaces has an empty range, and tokens that share one character have the same range (all as HF with trimmed offsets).
    /// </summary>
    public ReadOnlyMemory<TextRange> Offsets { get; }

    /// <summary>Per token 0 for the first text, 1 for the second, -1 for special tokens and padding [N].</summary>
    public ReadOnlyMemory<int> SequenceIds => _sequenceIds ??= Expand(static r => r.Sequence);

    /// <summary>Token type ids [N]: all 0 for RoBERTa, BART, Longformer and LED; 1 for the second text of BERT.</summary>
    public ReadOnlyMemory<int> TypeIds => _typeIds ??= Expand(static r => r.TypeId);

    /// <summary>1 for the special tokens put around the text and for padding, else 0 [N]; special tokens written in the text count as text.</summary>
    public ReadOnlyMemory<int> SpecialTokensMask => _specialTokensMask ??= Expand(static r => r.Special ? 1 : 0);

    /// <summary>0 for padding, else 1 [N].</summary>
    public ReadOnlyMemory<int> AttentionMask => _attentionMask ??= Expand(static r => r.Attended ? 1 : 0);

    /// <summary>The parts that truncation cut off, each a complete encoding with its special tokens; empty if nothing was cut.</summary>
    public IReadOnlyList<Encoding> Overflowing { get; }

    /// <summary>Offsets in another unit: code points for Python, UTF-8 bytes for C [N].</summary>
    /// <param name="unit">The unit to count in.</param>
    /// <returns>A new array of <see cref="Count"/> ranges.</returns>
    public TextRange[] GetOffsets(OffsetUnit unit)
    {
        TextRange[] result = Offsets.ToArray();
        for (int r = 0; r < _runs.Length; r++)
        {
            if (_runs[r].Sequence < 0)
                continue;
            OffsetConverter converter = new(_runs[r].Sequence == 0 ? _text : _pair!, unit);
            foreach (ref TextRange range in result.AsSpan(_runs[r].Start, EndOf(r) - _runs[r].Start))
                range = new TextRange(converter.Convert(range.Start), converter.Convert(range.End));
        }

        return result;
    }

    /// <summary>Fills this encoding, and its overflowing parts, up to a length; longer ones stay as they are.</summary>
    internal Encoding Pad(int length, Side side, int padId)
    {
        IReadOnlyList<Encoding> overflowing = Overflowing.Count == 0 ? Overflowing : [.. Overflowing.Select(o => o.Pad(length, side, padId))];
        if (Count >= length)
            return ReferenceEquals(overflowing, Overflowing) ? this : new Encoding(Ids, Offsets, _runs, _text, _pair, overflowing);

        int padding = length - Count;
        int shift = side == Side.Left ? padding : 0;
        int[] ids = new int[length];
        TextRange[] offsets = new TextRange[length];
        Array.Fill(ids, padId);
        Ids.Span.CopyTo(ids.AsSpan(shift));
        Offsets.Span.CopyTo(offsets.AsSpan(shift));
        TokenRun filler = new(side == Side.Left ? 0 : Count, -1, 0, Special: true, Attended: false);
        IEnumerable<TokenRun> own = _runs.Select(r => r with { Start = r.Start + shift });
        TokenRun[] runs = side == Side.Left ? [filler, .. own] : [.. own, filler];
        return new Encoding(ids, offsets, runs, _text, _pair, overflowing);
    }

    private int EndOf(int run) => run + 1 < _runs.Length ? _runs[run + 1].Start : Count;

    private int[] Expand(Func<TokenRun, int> value)
    {
        int[] result = new int[Count];
        for (int r = 0; r < _runs.Length; r++)
            result.AsSpan(_runs[r].Start, EndOf(r) - _runs[r].Start).Fill(value(_runs[r]));
        return result;
    }
}
