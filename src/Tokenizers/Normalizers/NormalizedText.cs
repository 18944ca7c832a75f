using LongformerInterop.Tokenizers.Unicode;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Normalizers;

/// <summary>
/// Text on its way through normalizers: code points, each with the range of the given text that it came from. The rules of how ranges follow
/// what changes are those of HF's <c>NormalizedString</c>.
/// </summary>
internal sealed class NormalizedText
{
    private List<Piece> _pieces = [];

    /// <param name="text">The given text; ranges count its UTF-16 units.</param>
    public NormalizedText(ReadOnlySpan<char> text)
    {
        for (int i = 0; i < text.Length;)
        {
            int c = UnicodeTables.CodePointAt(text, i, out int units);
            _pieces.Add(new Piece(c, i, i + units));
            i += units;
        }
    }

    /// <summary>Number of code points.</summary>
    public int Count => _pieces.Count;

    public int this[int index] => _pieces[index].Character;

    /// <summary>Whether every code point is below a limit, which most normalizers leave as they are.</summary>
    public bool AllBelow(int limit)
    {
        foreach (Piece piece in _pieces)
        {
            if (piece.Character >= limit)
                return false;
        }
        return true;
    }

    /// <summary>
    /// Replaces the text. Each new character says where it came from: 0 the next old one, 1 nothing new (it shares the range of the old one before),
    /// -n the next old one with n more behind it dropped.
    /// </summary>
    /// <param name="characters">The new text.</param>
    /// <param name="dropped">Old characters dropped at the start.</param>
    public void Transform(IEnumerable<(int Character, int Change)> characters, int dropped = 0)
    {
        List<Piece> result = new(_pieces.Count);
        int at = dropped;
        foreach ((int character, int change) in characters)
        {
            int source = change > 0 ? at - 1 : at;
            Piece old = (uint)source < (uint)_pieces.Count ? _pieces[source] : default;
            result.Add(new Piece(character, old.Start, old.End));
            if (change <= 0)
                at += 1 - change;
        }

        _pieces = result;
    }

    /// <summary>Drops the characters that are not kept.</summary>
    public void Filter(Func<int, bool> keep) => _pieces.RemoveAll(p => !keep(p.Character));

    /// <summary>Replaces each character by one other.</summary>
    public void Map(Func<int, int> map)
    {
        for (int i = 0; i < _pieces.Count; i++)
            _pieces[i] = _pieces[i] with { Character = map(_pieces[i].Character) };
    }

    /// <summary>Keeps a range of the characters.</summary>
    public void Slice(int start, int end) => _pieces = _pieces.GetRange(start, end - start);

    /// <summary>Puts a string in front; it shares the range of the first character.</summary>
    public void Prepend(string text)
    {
        if (_pieces.Count == 0)
            return;
        Piece first = _pieces[0];
        _pieces.InsertRange(0, CodePoints(text).Select(c => first with { Character = c }));
    }

    /// <summary>Replaces every occurrence of a string; the new text shares the range of the last character replaced.</summary>
    public void Replace(string pattern, string content)
    {
        int[] wanted = [.. CodePoints(pattern)];
        if (wanted.Length == 0)
            return;
        int[] given = [.. CodePoints(content)];
        List<Piece> result = new(_pieces.Count);
        for (int i = 0; i < _pieces.Count;)
        {
            if (!StartsWith(i, wanted))
            {
                result.Add(_pieces[i++]);
                continue;
            }

            i += wanted.Length;
            result.AddRange(given.Select(c => _pieces[i - 1] with { Character = c }));
        }

        _pieces = result;
    }

    /// <summary>Writes the text and its ranges.</summary>
    public void CopyTo(AlignedText output)
    {
        output.Clear();
        foreach (Piece piece in _pieces)
            output.Add(piece.Character, piece.Start, piece.End);
    }

    private static IEnumerable<int> CodePoints(string text)
    {
        for (int i = 0; i < text.Length;)
        {
            yield return UnicodeTables.CodePointAt(text, i, out int units);
            i += units;
        }
    }

    private bool StartsWith(int at, int[] wanted)
    {
        if (at + wanted.Length > _pieces.Count)
            return false;
        for (int i = 0; i < wanted.Length; i++)
        {
            if (_pieces[at + i].Character != wanted[i])
                return false;
        }
        return true;
    }

    private readonly record struct Piece(int Character, int Start, int End);
}
