using System.Text;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>Texts at random: words, spaces and characters of many scripts.</summary>
internal sealed class RandomText(int seed)
{
    private static readonly (int First, int Last)[] Scripts =
    [
        (0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x900, 0xDFF), (0x1E00, 0x20CF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
        (0xF900, 0xFAFF), (0x1D400, 0x1D7FF), (0x1F300, 0x1F6FF), (0x20000, 0x2A6DF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF), (1, 0x1F),
    ];

    private static readonly string[] Words =
        ["the", "don't", "we'll", "Longformer", "naïve", "3.14", "'s", "x'm", "中文", "한국어", "👍🏻", "  ", "\n", " "];

    private readonly Random _random = new(seed);

    /// <summary>Valid text of up to so many parts, without special tokens.</summary>
    public string Next(int parts)
    {
        StringBuilder text = new();
        for (int i = _random.Next(parts); i > 0; i--)
        {
            if (_random.Next(2) == 0)
            {
                text.Append(_random.Next(2) == 0 ? " " : "").Append(Words[_random.Next(Words.Length)]);
                continue;
            }

            (int first, int last) = Scripts[_random.Next(Scripts.Length)];
            text.Append(new Rune(_random.Next(first, last + 1)).ToString());
        }

        return text.ToString();
    }

    /// <summary>ASCII in which spaces, line breaks and apostrophes abound.</summary>
    public string NextAscii(int length) =>
        string.Concat(Enumerable.Range(0, _random.Next(length)).Select(_ => _random.Next(3) switch
        {
            0 => " \n\t'\r "[_random.Next(6)],
            1 => "stremvld"[_random.Next(8)],
            _ => (char)_random.Next(1, 127),
        }));

    /// <summary>UTF-16 units without any order, half surrogate pairs included.</summary>
    public string NextChars(int length) =>
        string.Concat(Enumerable.Range(0, _random.Next(length)).Select(_ => _random.Next(4) switch
        {
            0 => (char)_random.Next(0xD800, 0xE000),
            1 => (char)_random.Next(0x20, 0x7F),
            _ => (char)_random.Next(0x10000),
        }));
}
