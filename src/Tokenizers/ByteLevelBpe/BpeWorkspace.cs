using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>
/// Cuts one piece of text into tokens by merging its bytes. Holds scratch space and the cache of words, so a call borrows one for itself.
/// </summary>
/// <param name="bpe">The merges, and the rule for bytes that the vocabulary lacks.</param>
internal sealed class BpeWorkspace(BpeParts bpe)
{
    // Below this many bytes, looking at every pair for each merge is faster than a heap; above, it would be quadratic.
    private const int HeapThreshold = 96;
    private const int KeptCapacity = 1 << 16;

    private readonly WordCache _cache = new();
    private readonly BpeModel _model = bpe.Model;

    // Where bytes are dropped, ranges shift by the length of their characters in UTF-8, so positions must count that.
    private readonly bool _dropsBytes = bpe.UnknownId < 0 && Enumerable.Range(0, 256).Any(b => bpe.Model.TokenOfByte((byte)b) < 0);
    private int[] _symbols = [], _first = [], _ranks = [], _starts = [], _ends = [], _next = [], _previous = [];
    private ulong[] _heap = [];
    private int _heapCount, _symbolCount, _symbolBytes;
    private bool _unknownRun;

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
        if (bpe.WholeWords is { } words && words.TryGetValue(Spell(word, spaceBefore), out int whole))
        {
            output.Add(whole, offset, offset + (word.IsEmpty ? firstUnits : word.Length));
            return;
        }

        _symbolCount = _symbolBytes = 0;
        _unknownRun = false;
        ReadBytes(word, spaceBefore, firstUnits);
        int count = _symbolCount;
        count = count < HeapThreshold ? MergeShort(count) : MergeLong(count);
        for (int i = 0; i < count; i++)
        {
            int last = (i + 1 < count ? _first[i + 1] : _symbolBytes) - 1;
            output.Add(_symbols[i], offset + _starts[_first[i]], offset + _ends[last]);
        }
    }

    private static string Spell(ReadOnlySpan<char> word, bool spaceBefore)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(word.ToString());
        string spelt = string.Create(bytes.Length, bytes, static (characters, b) =>
        {
            for (int i = 0; i < b.Length; i++)
                characters[i] = ByteAlphabet.CharacterOf(b[i]);
        });
        return spaceBefore ? ByteAlphabet.Space + spelt : spelt;
    }

    /// <summary>Symbols of the bytes of the word's UTF-8, and for each byte the range of its character.</summary>
    private void ReadBytes(ReadOnlySpan<char> word, bool spaceBefore, int firstUnits)
    {
        Reserve(checked(((word.Length * 3) + 1) * (_dropsBytes ? 2 : 1)));
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
    }

    /// <summary>
    /// Takes one byte. One that the vocabulary lacks becomes the unknown token, alone or with those beside it; without such a token it gives nothing,
    /// and, as in the reference, what follows then takes the ranges from there.
    /// </summary>
    private void AddByte(byte value, ref int count, int start, int end)
    {
        int units = _dropsBytes && ByteAlphabet.CharacterOf(value) >= 0x80 ? 2 : 1;
        for (int i = 0; i < units; i++)
        {
            _starts[count] = start;
            _ends[count++] = end;
        }

        int symbol = _model.TokenOfByte(value);
        bool unknown = symbol < 0;
        if (unknown && bpe.UnknownId < 0)
            return;
        if (!(unknown && _unknownRun && bpe.FuseUnknown))
        {
            _symbols[_symbolCount] = unknown ? bpe.UnknownId : symbol;
            _first[_symbolCount++] = _symbolBytes;
        }

        _unknownRun = unknown;
        _symbolBytes += units;
    }

    /// <summary>Merges the pair of lowest rank, the leftmost of equals, until none is left; returns the number of symbols.</summary>
    private int MergeShort(int count)
    {
        for (int i = 0; i + 1 < count; i++)
            _ranks[i] = _model.RankOf(_symbols[i], _symbols[i + 1], out _);
        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
            {
                if (_ranks[i] < _ranks[best])
                    best = i;
            }
            if (_ranks[best] == BpeModel.NoMerge)
                break;
            _model.RankOf(_symbols[best], _symbols[best + 1], out _symbols[best]);
            int moved = count - best - 2;
            _symbols.AsSpan(best + 2, moved).CopyTo(_symbols.AsSpan(best + 1));
            _first.AsSpan(best + 2, moved).CopyTo(_first.AsSpan(best + 1));
            _ranks.AsSpan(best + 1, moved).CopyTo(_ranks.AsSpan(best));
            count--;
            if (best + 1 < count)
                _ranks[best] = _model.RankOf(_symbols[best], _symbols[best + 1], out _);
            if (best > 0)
                _ranks[best - 1] = _model.RankOf(_symbols[best - 1], _symbols[best], out _);
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
            if (_symbols[at] < 0 || right < 0 || _model.RankOf(_symbols[at], _symbols[right], out int result) != (int)(top >> 32))
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
            _first[kept++] = _first[i];
        }

        return kept;
    }

    private void PushPair(int left)
    {
        int rank = _model.RankOf(_symbols[left], _symbols[_next[left]], out _);
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
