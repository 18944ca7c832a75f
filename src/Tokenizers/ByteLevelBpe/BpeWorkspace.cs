using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>
/// Cuts one piece of text into tokens by merging its bytes. Holds scratch space and the cache of words, so a call borrows one for itself.
/// </summary>
/// <param name="model">The merges.</param>
/// <param name="unknownId">The token for a byte that the vocabulary lacks; -1: such a byte is an error.</param>
internal sealed class BpeWorkspace(BpeModel model, int unknownId)
{
    // Below this many bytes, looking at every pair for each merge is faster than a heap; above, it would be quadratic.
    private const int HeapThreshold = 96;
    private const int KeptCapacity = 1 << 16;

    private readonly WordCache _cache = new();
    private int[] _symbols = [], _first = [], _ranks = [], _starts = [], _ends = [], _next = [], _previous = [];
    private ulong[] _heap = [];
    private int _heapCount;

    /// <summary>Appends the tokens of a piece, with ranges in the whole text.</summary>
    public void Append(ReadOnlySpan<char> text, int start, int end, TokenBuffer output)
    {
        ReadOnlySpan<char> word = text[start..end];
        output.MarkPiece(isAddedToken: false);
        if (word.Length > WordCache.MaxWordLength)
        {
            Merge(word, start, spaceBefore: false, output);
            return;
        }

        uint hash = WordCache.Hash(word);
        if (_cache.TryAppend(word, hash, start, output))
            return;
        int before = output.Count;
        Merge(word, start, spaceBefore: false, output);
        int added = output.Count - before;
        _cache.Remember(word, hash, start, output.IdsFrom(before, added), output.RangesFrom(before, added));
    }

    /// <summary>
    /// Appends the tokens of the first piece behind a space that is not in the text. As in the reference, that space has the range of the text's
    /// first character, <paramref name="firstUnits"/> long.
    /// </summary>
    public void AppendAfterSpace(ReadOnlySpan<char> text, int start, int end, int firstUnits, TokenBuffer output)
    {
        output.MarkPiece(isAddedToken: false);
        Merge(text[start..end], start, spaceBefore: true, output, firstUnits);
    }

    /// <summary>Gives back the space that an unusually long piece needed.</summary>
    public void Trim()
    {
        if (_symbols.Length <= KeptCapacity)
            return;
        _symbols = _first = _ranks = _starts = _ends = _next = _previous = [];
        _heap = [];
    }

    private void Merge(ReadOnlySpan<char> word, int offset, bool spaceBefore, TokenBuffer output, int firstUnits = 0)
    {
        int count = ReadBytes(word, spaceBefore, firstUnits);
        int bytes = count;
        count = count < HeapThreshold ? MergeShort(count) : MergeLong(count);
        for (int i = 0; i < count; i++)
        {
            int last = (i + 1 < count ? _first[i + 1] : bytes) - 1;
            output.Add(_symbols[i], offset + _starts[_first[i]], offset + _ends[last]);
        }
    }

    /// <summary>Symbols of the bytes of the word's UTF-8, and for each byte the range of its character.</summary>
    private int ReadBytes(ReadOnlySpan<char> word, bool spaceBefore, int firstUnits)
    {
        Reserve(checked((word.Length * 3) + 1));
        int count = 0;
        if (spaceBefore)
            AddByte((byte)' ', ref count, 0, firstUnits);
        for (int i = 0; i < word.Length;)
        {
            int c = UnicodeTables.CodePointAt(word, i, out int units);
            int end = i + units;
            switch (c)
            {
                case < 0x80:
                    AddByte((byte)c, ref count, i, end);
                    break;
                case < 0x800:
                    AddByte((byte)(0xC0 | (c >> 6)), ref count, i, end);
                    AddByte((byte)(0x80 | (c & 63)), ref count, i, end);
                    break;
                case < 0x10000:
                    AddByte((byte)(0xE0 | (c >> 12)), ref count, i, end);
                    AddByte((byte)(0x80 | ((c >> 6) & 63)), ref count, i, end);
                    AddByte((byte)(0x80 | (c & 63)), ref count, i, end);
                    break;
                default:
                    AddByte((byte)(0xF0 | (c >> 18)), ref count, i, end);
                    AddByte((byte)(0x80 | ((c >> 12) & 63)), ref count, i, end);
                    AddByte((byte)(0x80 | ((c >> 6) & 63)), ref count, i, end);
                    AddByte((byte)(0x80 | (c & 63)), ref count, i, end);
                    break;
            }

            i = end;
        }

        return count;
    }

    private void AddByte(byte value, ref int count, int start, int end)
    {
        int symbol = model.TokenOfByte(value);
        if (symbol < 0)
        {
            symbol = unknownId >= 0
                ? unknownId
                : throw new TokenizerException(
                    $"text: expected only bytes that the vocabulary has a token for, given byte 0x{value:X2} ('{ByteAlphabet.CharacterOf(value)}'), which it lacks");
        }

        _symbols[count] = symbol;
        _first[count] = count;
        _starts[count] = start;
        _ends[count] = end;
        count++;
    }

    /// <summary>Merges the pair of lowest rank, the leftmost of equals, until none is left; returns the number of symbols.</summary>
    private int MergeShort(int count)
    {
        for (int i = 0; i + 1 < count; i++)
            _ranks[i] = model.RankOf(_symbols[i], _symbols[i + 1], out _);
        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
                if (_ranks[i] < _ranks[best])
                    best = i;
            if (_ranks[best] == BpeModel.NoMerge)
                break;
            model.RankOf(_symbols[best], _symbols[best + 1], out _symbols[best]);
            int moved = count - best - 2;
            _symbols.AsSpan(best + 2, moved).CopyTo(_symbols.AsSpan(best + 1));
            _first.AsSpan(best + 2, moved).CopyTo(_first.AsSpan(best + 1));
            _ranks.AsSpan(best + 1, moved).CopyTo(_ranks.AsSpan(best));
            count--;
            if (best + 1 < count)
                _ranks[best] = model.RankOf(_symbols[best], _symbols[best + 1], out _);
            if (best > 0)
                _ranks[best - 1] = model.RankOf(_symbols[best - 1], _symbols[best], out _);
        }

        return count;
    }

    /// <summary>The same with a linked list and a heap of (rank, position): n log n for words of any length.</summary>
    private int MergeLong(int count)
    {
        _heapCount = 0;
        for (int i = 0; i < count; i++)
        {
            _previous[i] = i - 1;
            _next[i] = i + 1 < count ? i + 1 : -1;
        }

        for (int i = 0; i + 1 < count; i++)
            PushPair(i);
        while (_heapCount > 0)
        {
            ulong top = Pop();
            int at = (int)(uint)top;
            int right = _next[at];

            // An entry is stale if its symbol was merged away (-1), is the last, or now forms another pair.
            if (_symbols[at] < 0 || right < 0 || model.RankOf(_symbols[at], _symbols[right], out int result) != (int)(top >> 32))
                continue;
            _symbols[at] = result;
            _symbols[right] = -1;
            _next[at] = _next[right];
            if (_next[at] >= 0)
            {
                _previous[_next[at]] = at;
                PushPair(at);
            }

            if (_previous[at] >= 0)
                PushPair(_previous[at]);
        }

        int kept = 0;
        for (int i = 0; i >= 0; i = _next[i])
        {
            _symbols[kept] = _symbols[i];
            _first[kept++] = i;
        }

        return kept;
    }

    private void PushPair(int left)
    {
        int rank = model.RankOf(_symbols[left], _symbols[_next[left]], out _);
        if (rank == BpeModel.NoMerge)
            return;
        if (_heapCount == _heap.Length)
            Array.Resize(ref _heap, Math.Max(256, _heap.Length * 2));
        ulong item = ((ulong)(uint)rank << 32) | (uint)left;
        int at = _heapCount++;
        while (at > 0 && _heap[(at - 1) >> 1] > item)
        {
            _heap[at] = _heap[(at - 1) >> 1];
            at = (at - 1) >> 1;
        }

        _heap[at] = item;
    }

    private ulong Pop()
    {
        ulong top = _heap[0];
        ulong last = _heap[--_heapCount];
        int at = 0;
        while (true)
        {
            int child = (at * 2) + 1;
            if (child >= _heapCount)
                break;
            if (child + 1 < _heapCount && _heap[child + 1] < _heap[child])
                child++;
            if (_heap[child] >= last)
                break;
            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = last;
        return top;
    }

    private void Reserve(int bytes)
    {
        if (_symbols.Length >= bytes)
            return;
        int length = Math.Max(256, bytes);
        _symbols = new int[length];
        _first = new int[length];
        _ranks = new int[length];
        _starts = new int[length];
        _ends = new int[length];
        _next = new int[length];
        _previous = new int[length];
    }
}
