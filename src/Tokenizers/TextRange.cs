namespace LongformerInterop.Tokenizers;

/// <summary>A half-open range of a text. The unit is UTF-16 (<see cref="char"/>) unless a method says otherwise.</summary>
/// <param name="Start">First unit.</param>
/// <param name="End">One past the last unit.</param>
public readonly record struct TextRange(int Start, int End)
{
    /// <summary>Number of units.</summary>
    public int Length => End - Start;
}

/// <summary>The unit in which offsets count.</summary>
public enum OffsetUnit
{
    /// <summary>UTF-16 units, as C# strings count.</summary>
    Utf16,

    /// <summary>Unicode code points, as Python strings count; a lone surrogate is one.</summary>
    CodePoint,

    /// <summary>Bytes of UTF-8, as C strings count; a lone surrogate is three, those of U+FFFD.</summary>
    Utf8,
}

/// <summary>Converts positions of a text from UTF-16 units. Positions that ascend cost one pass over the text in all.</summary>
internal struct OffsetConverter(string text, OffsetUnit unit)
{
    private int _position;
    private int _converted;

    /// <summary>The position in the other unit; it must not be inside a surrogate pair.</summary>
    public int Convert(int position)
    {
        if (unit == OffsetUnit.Utf16)
            return position;
        while (_position < position)
        {
            bool pair = IsPairAt(_position);
            _converted += unit == OffsetUnit.CodePoint ? 1 : Utf8Length(text[_position], pair);
            _position += pair ? 2 : 1;
        }

        while (_position > position)
        {
            bool pair = _position >= 2 && IsPairAt(_position - 2);
            _position -= pair ? 2 : 1;
            _converted -= unit == OffsetUnit.CodePoint ? 1 : Utf8Length(text[_position], pair);
        }

        return _converted;
    }

    private readonly bool IsPairAt(int i) => char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]);

    private static int Utf8Length(char first, bool pair) => pair ? 4 : first < 0x80 ? 1 : first < 0x800 ? 2 : 3;
}
