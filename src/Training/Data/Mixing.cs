namespace LongformerInterop.Training.Data;

/// <summary>Random numbers that are functions of a seed and of what they are for, so that a run can begin again anywhere.</summary>
internal static class Mixing
{
    /// <summary>A number of several: SplitMix64's finalizer over each.</summary>
    public static ulong Of(params ReadOnlySpan<long> parts)
    {
        ulong x = 0x9E3779B97F4A7C15UL;
        foreach (long part in parts)
            x = Finish(x ^ Finish((ulong)part + 0x9E3779B97F4A7C15UL)) + 0x9E3779B97F4A7C15UL;
        return Finish(x);
    }

    /// <summary>The seed of a pass's dropouts.</summary>
    public static long Seed(params ReadOnlySpan<long> parts) => (long)(Of(parts) >> 1);

    /// <summary>Below <paramref name="bound"/>, all alike to one part in 2^32.</summary>
    public static int Below(int bound, ulong bits) => (int)(((bits >> 32) * (ulong)bound) >> 32);

    /// <summary>From 0 to below 1.</summary>
    public static double Unit(ulong bits) => (bits >> 11) * (1.0 / (1UL << 53));

    /// <summary>The numbers 0 to <paramref name="count"/> - 1 in the order of an epoch.</summary>
    public static int[] Order(int count, long seed, long epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        ulong state = Of(seed, epoch, 1);
        for (int i = count - 1; i > 0; i--)
        {
            state += 0x9E3779B97F4A7C15UL;
            int j = Below(i + 1, Finish(state));
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }

    private static ulong Finish(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }
}
