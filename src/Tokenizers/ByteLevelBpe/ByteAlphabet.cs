namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>
/// GPT-2's alphabet: every byte as one printable character, so that tokens can be written in JSON. Printable Latin-1 bytes are
/// themselves, the others U+0100, U+0101 and so on, in order; the space becomes U+0120.
/// </summary>
internal static class ByteAlphabet
{
    /// <summary>The character of the space.</summary>
    public const char Space = '\u0120';

    private static readonly char[] Characters = Build();
    private static readonly short[] Bytes = Invert();

    public static char CharacterOf(byte value) => Characters[value];

    /// <summary>The byte of a character, or -1.</summary>
    public static int ByteOf(char c) => c < Bytes.Length ? Bytes[c] : -1;

    private static char[] Build()
    {
        char[] characters = new char[256];
        int next = 256;
        for (int b = 0; b < 256; b++)
            characters[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)b : (char)next++;
        return characters;
    }

    private static short[] Invert()
    {
        short[] bytes = new short[Characters.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (int b = 0; b < 256; b++)
            bytes[Characters[b]] = (short)b;
        return bytes;
    }
}
