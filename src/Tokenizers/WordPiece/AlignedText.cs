namespace LongformerInterop.Tokenizers.WordPiece;

/// <summary>Normalized text that knows for every UTF-16 unit which range of the given text it came from.</summary>
internal sealed class AlignedText
{
    private char[] _characters = new char[256];
    private int[] _starts = new int[256];
    private int[] _ends = new int[256];
    private int _count;

    private readonly List<(int Character, int Combining, bool IsFirst, int Start, int End)> _held = [];

    public ReadOnlySpan<char> Characters => _characters.AsSpan(0, _count);

    public ReadOnlySpan<int> Starts => _starts.AsSpan(0, _count);

    public ReadOnlySpan<int> Ends => _ends.AsSpan(0, _count);

    public void Clear()
    {
        _count = 0;
        _held.Clear();
    }

    /// <summary>Gives back the space that an unusually long word needed.</summary>
    public void Trim()
    {
        if (_characters.Length <= 1 << 16)
            return;
        _characters = new char[256];
        _starts = new int[256];
        _ends = new int[256];
        _count = 0;
    }

    public void Add(int codePoint, int start, int end)
    {
        if (_count + 2 > _characters.Length)
        {
            Array.Resize(ref _characters, _characters.Length * 2);
            Array.Resize(ref _starts, _characters.Length);
            Array.Resize(ref _ends, _characters.Length);
        }

        if (codePoint >= 0x10000)
        {
            Append((char)(0xD7C0 + (codePoint >> 10)), start, end);
            Append((char)(0xDC00 + (codePoint & 0x3FF)), start, end);
        }
        else
        {
            Append((char)codePoint, start, end);
        }
    }

    /// <summary>Holds a decomposed character back until the marks after it are known, which may come in another order.</summary>
    /// <param name="codePoint">The character.</param>
    /// <param name="combining">Its canonical combining class.</param>
    /// <param name="isFirst">Whether it is the first that its source became.</param>
    /// <param name="start">Start of its source.</param>
    /// <param name="end">End of its source.</param>
    public void Hold(int codePoint, int combining, bool isFirst, int start, int end) =>
        _held.Add((codePoint, combining, isFirst, start, end));

    /// <summary>
    /// Writes what was held, marks in canonical order. The n-th character that was the first of its source takes the n-th source's range, the
    /// others that of the one before, which is how the reference aligns what it reorders.
    /// </summary>
    public void FlushMarks(BertNormalizer normalizer)
    {
        if (_held.Count == 0)
            return;
        if (_held.Count == 1)
        {
            (int character, _, _, int start, int end) = _held[0];
            _held.Clear();
            normalizer.Emit(character, start, end, this);
            return;
        }

        List<(int Start, int End)> sources = [.. _held.Where(h => h.IsFirst).Select(h => (h.Start, h.End))];
        int next = 0;
        (int Start, int End) current = (_held[0].Start, _held[0].End);
        foreach ((int character, _, bool isFirst, _, _) in _held.OrderBy(h => h.Combining).ToArray())
        {
            if (isFirst)
                current = sources[next++];
            normalizer.Emit(character, current.Start, current.End, this);
        }

        _held.Clear();
    }

    private void Append(char c, int start, int end)
    {
        _characters[_count] = c;
        _starts[_count] = start;
        _ends[_count++] = end;
    }
}
