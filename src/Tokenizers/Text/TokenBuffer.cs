namespace LongformerInterop.Tokenizers.Text;

/// <summary>Growing arrays of ids and ranges: all that is kept per token.</summary>
internal sealed class TokenBuffer(int capacity)
{
    private int[] _ids = new int[capacity];
    private TextRange[] _ranges = new TextRange[capacity];

    public int Count { get; private set; }

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
