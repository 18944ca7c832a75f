namespace LongformerInterop.Tokenizers.Text;

/// <summary>Growing arrays of ids and ranges: all that is kept per token.</summary>
internal sealed class TokenBuffer(int capacity)
{
    private int[] _ids = new int[capacity];
    private TextRange[] _ranges = new TextRange[capacity];

    private List<(int Start, bool IsAddedToken)>? _pieces;

    public int Count { get; private set; }

    /// <summary>Whether it is being noted where the pieces (words, added tokens) of a text begin.</summary>
    public bool MarksPieces => _pieces is not null;

    public ReadOnlyMemory<int> Ids => _ids.AsMemory(0, Count);

    public ReadOnlyMemory<TextRange> Ranges => _ranges.AsMemory(0, Count);

    public void Add(int id, int start, int end)
    {
        int at = Count;
        if ((uint)at >= (uint)_ids.Length)
            Grow(1);
        _ids[at] = id;
        _ranges[at] = new TextRange(start, end);
        Count = at + 1;
    }

    public void AddRange(ReadOnlySpan<int> ids, ReadOnlySpan<TextRange> ranges)
    {
        if (_ids.Length - Count < ids.Length)
            Grow(ids.Length);
        ids.CopyTo(_ids.AsSpan(Count));
        ranges.CopyTo(_ranges.AsSpan(Count));
        Count += ids.Length;
    }

    public void RemoveFrom(int count) => Count = count;

    /// <summary>From here on, notes where pieces begin.</summary>
    public void StartMarking() => _pieces = [];

    /// <summary>A piece begins with the next token.</summary>
    public void MarkPiece(bool isAddedToken) => _pieces?.Add((Count, isAddedToken));

    /// <summary>
    /// Keeps the pieces of a text up to the one that brings it to <paramref name="limit"/> tokens, or from its end down to that one. As in the
    /// reference, added tokens count but only a piece of plain text ends the reading.
    /// </summary>
    public void KeepPieces(int limit, Side cutSide)
    {
        List<(int Start, bool IsAddedToken)> pieces = _pieces!;
        _pieces = null;
        if (pieces.Count == 0)
            return;
        int first = pieces[0].Start;
        if (cutSide == Side.Right)
        {
            for (int p = 0; p < pieces.Count; p++)
            {
                int end = p + 1 < pieces.Count ? pieces[p + 1].Start : Count;
                if (!pieces[p].IsAddedToken && end - first >= limit)
                {
                    Count = end;
                    return;
                }
            }

            return;
        }

        for (int p = pieces.Count - 1; p >= 0; p--)
        {
            int start = pieces[p].Start;
            if (pieces[p].IsAddedToken || Count - start < limit)
                continue;
            _ids.AsSpan(start, Count - start).CopyTo(_ids.AsSpan(first));
            _ranges.AsSpan(start, Count - start).CopyTo(_ranges.AsSpan(first));
            Count -= start - first;
            return;
        }
    }

    public Span<int> IdsFrom(int start, int length) => _ids.AsSpan(start, length);

    public Span<TextRange> RangesFrom(int start, int length) => _ranges.AsSpan(start, length);

    private void Grow(int room)
    {
        // Half as much again: a long text is estimated well at the start, so that this seldom happens and wastes little.
        int length = checked((int)Math.Min(Array.MaxLength, Math.Max((long)Count + room, _ids.Length + (_ids.Length / 2L) + 16)));
        Array.Resize(ref _ids, length);
        Array.Resize(ref _ranges, length);
    }
}
