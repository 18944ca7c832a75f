using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LongformerInterop.Tokenizers.Text;

/// <summary>
/// Remembers how short words are cut. Bounded: when full it is emptied and starts again. Words are compared as UTF-16 where they are, no
/// strings are made. Not thread-safe: each running call borrows one.
/// </summary>
internal sealed class WordCache
{
    /// <summary>Longest word kept, in UTF-16 units.</summary>
    public const int MaxWordLength = 64;

    private const int SlotCount = 1 << 16;
    private const int MaxEntries = SlotCount / 2;
    private const int MaxCharacters = 1 << 20;
    private const int MaxTokens = 1 << 18;

    private readonly Slot[] _slots = new Slot[SlotCount];
    private char[] _characters = new char[1 << 14];
    private CachedToken[] _tokens = new CachedToken[1 << 12];
    private int _entries, _characterCount, _tokenCount;

    /// <summary>Appends the tokens of a word that starts at <paramref name="offset"/>; false if it is not known.</summary>
    public bool TryAppend(ReadOnlySpan<char> word, uint hash, int offset, TokenBuffer output)
    {
        for (uint i = hash; ; i++)
        {
            ref Slot slot = ref _slots[i & (SlotCount - 1)];
            if (slot.Length == 0)
                return false;
            if (slot.Hash != hash || slot.Length != word.Length || !word.SequenceEqual(_characters.AsSpan(slot.Key, slot.Length)))
                continue;
            if (slot.IsWhole)
            {
                output.Add(slot.Data, offset, offset + word.Length);
                return true;
            }

            foreach (ref readonly CachedToken t in _tokens.AsSpan(slot.Data, slot.Count))
                output.Add(t.Id, offset + t.Start, offset + t.End);
            return true;
        }
    }

    /// <summary>Remembers a word of 1..<see cref="MaxWordLength"/> units that starts at <paramref name="offset"/>, given its tokens.</summary>
    public void Remember(ReadOnlySpan<char> word, uint hash, int offset, ReadOnlySpan<int> ids, ReadOnlySpan<TextRange> ranges)
    {
        if (_entries >= MaxEntries || _characterCount + word.Length > MaxCharacters || _tokenCount + ids.Length > MaxTokens)
            Clear();
        Reserve(ref _characters, _characterCount + word.Length);
        word.CopyTo(_characters.AsSpan(_characterCount));

        Slot slot = new() { Hash = hash, Key = _characterCount, Length = (byte)word.Length };
        if (ids.Length == 1 && ranges[0].Start == offset && ranges[0].Length == word.Length)
        {
            slot.IsWhole = true;
            slot.Data = ids[0];
        }
        else
        {
            Reserve(ref _tokens, _tokenCount + ids.Length);
            slot.Data = _tokenCount;
            slot.Count = (ushort)ids.Length;
            for (int i = 0; i < ids.Length; i++)
                _tokens[_tokenCount++] = new CachedToken(ids[i], (short)(ranges[i].Start - offset), (short)(ranges[i].End - offset));
        }

        uint at = hash;
        while (_slots[at & (SlotCount - 1)].Length != 0)
            at++;
        _slots[at & (SlotCount - 1)] = slot;
        _characterCount += word.Length;
        _entries++;
    }

    /// <summary>A hash of the word's UTF-16 units.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Hash(ReadOnlySpan<char> word)
    {
        const ulong Multiplier = 0x9E3779B97F4A7C15;
        ref byte start = ref Unsafe.As<char, byte>(ref MemoryMarshal.GetReference(word));
        ulong h = (ulong)word.Length * Multiplier;
        int bytes = word.Length * 2;
        if (bytes >= 8)
        {
            for (int i = 0; i + 8 < bytes; i += 8)
                h = (BitOperations.RotateLeft(h, 23) ^ Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref start, i))) * Multiplier;
            h = (BitOperations.RotateLeft(h, 23) ^ Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref start, bytes - 8))) * Multiplier;
        }
        else
        {
            ulong tail = 0;
            foreach (char c in word)
                tail = (tail << 16) | c;
            h = (h ^ tail) * Multiplier;
        }

        return (uint)(h >> 32);
    }

    private static void Reserve<T>(ref T[] array, int length)
    {
        if (array.Length < length)
            Array.Resize(ref array, Math.Max(length, array.Length * 2));
    }

    private void Clear()
    {
        Array.Clear(_slots);
        _entries = _characterCount = _tokenCount = 0;
    }

    private readonly record struct CachedToken(int Id, short Start, short End);

    private struct Slot
    {
        public uint Hash;
        public int Key;
        public int Data;
        public ushort Count;
        public byte Length;
        public bool IsWhole;
    }
}
