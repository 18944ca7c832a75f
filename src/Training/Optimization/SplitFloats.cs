using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LongformerInterop.Training.Optimization;

/// <summary>
/// Float32 numbers in two halves: BFloat16, rounded to the nearest and to even in the middle as libtorch rounds, and the lower 16 of the number's own
/// bits. Both give the number back to the bit: from the middle on, the rounded half is one above the number's upper bits. Exactly in the
/// middle two numbers have the same halves, and those that were rounded down are listed.
/// </summary>
internal static class SplitFloats
{
    private const uint Middle = 0x8000, Infinity = 0x7f800000;
    private const ushort NaN = 0x7fc0;

    /// <summary>Splits numbers.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="high">For each the bits of its BFloat16.</param>
    /// <param name="low">For each its lower 16 bits.</param>
    /// <returns>The places of numbers exactly in the middle that were rounded down: one of 131,072 in the mean.</returns>
    public static int[] Split(ReadOnlySpan<float> numbers, Span<ushort> high, Span<ushort> low)
    {
        List<int> down = [];
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(numbers);
        int i = 0;
        for (; i <= bits.Length - Vector512<ushort>.Count; i += Vector512<ushort>.Count)
        {
            Vector512<uint> first = Vector512.Create(bits[i..]), second = Vector512.Create(bits[(i + Vector512<uint>.Count)..]);
            if (IsSpecial(first) || IsSpecial(second))
            {
                for (int j = i; j < i + Vector512<ushort>.Count; j++)
                    One(bits[j], j, high, low, down);
                continue;
            }
            Vector512.Narrow(Rounded(first), Rounded(second)).CopyTo(high[i..]);
            Vector512.Narrow(first & Lower, second & Lower).CopyTo(low[i..]);
        }
        for (; i < bits.Length; i++)
            One(bits[i], i, high, low, down);
        return [.. down];
    }

    /// <summary>Puts numbers together again.</summary>
    /// <param name="high">The BFloat16 halves.</param>
    /// <param name="low">The other halves.</param>
    /// <param name="down">What <see cref="Split"/> returned.</param>
    /// <param name="numbers">The numbers.</param>
    public static void Join(ReadOnlySpan<ushort> high, ReadOnlySpan<ushort> low, ReadOnlySpan<int> down, Span<float> numbers)
    {
        Span<uint> bits = MemoryMarshal.Cast<float, uint>(numbers);
        int i = 0;
        for (; i <= bits.Length - Vector512<ushort>.Count; i += Vector512<ushort>.Count)
        {
            Vector512<ushort> upper = Vector512.Create(high[i..]), lower = Vector512.Create(low[i..]);
            // Bit 15 of the lower half says that it was rounded up.
            upper -= lower >>> 15;
            (Vector512<uint> firstUpper, Vector512<uint> secondUpper) = Vector512.Widen(upper);
            (Vector512<uint> firstLower, Vector512<uint> secondLower) = Vector512.Widen(lower);
            ((firstUpper << 16) | firstLower).CopyTo(bits[i..]);
            ((secondUpper << 16) | secondLower).CopyTo(bits[(i + Vector512<uint>.Count)..]);
        }
        for (; i < bits.Length; i++)
            bits[i] = ((uint)(ushort)(high[i] - (low[i] >>> 15)) << 16) | low[i];
        foreach (int place in down)
            bits[place] += 1u << 16;
    }

    private static Vector512<uint> Lower => Vector512.Create(0xffffu);

    private static Vector512<uint> Rounded(Vector512<uint> bits) =>
        (bits + Vector512.Create(Middle - 1) + ((bits >>> 16) & Vector512<uint>.One)) >>> 16;

    /// <summary>Whether there may be a number in the middle or one that is none.</summary>
    private static bool IsSpecial(Vector512<uint> bits) => Vector512.EqualsAny(bits & Lower, Vector512.Create(Middle))
        || Vector512.GreaterThanAny((bits & Vector512.Create(0x7fffffffu)).AsInt32(), Vector512.Create(Infinity).AsInt32());

    private static void One(uint bits, int place, Span<ushort> high, Span<ushort> low, List<int> down)
    {
        uint lower = bits & 0xffff, odd = (bits >>> 16) & 1;
        if ((bits & 0x7fffffff) > Infinity)
        {
            // Rounding up would carry it into the sign.
            (high[place], low[place]) = (NaN, 0);
            return;
        }
        (high[place], low[place]) = ((ushort)((bits + Middle - 1 + odd) >>> 16), (ushort)lower);
        if (lower == Middle && odd == 0)
            down.Add(place);
    }
}
