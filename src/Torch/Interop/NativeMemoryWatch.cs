namespace LongformerInterop.Torch.Interop;

/// <summary>
/// Makes the garbage collector aware of tensors that nobody disposes. It sees 40 bytes of a 40 MB tensor, so a program that
/// forgets to dispose grows without a single collection. <see cref="GC.AddMemoryPressure"/> is no help: it asks for a full
/// collection every few megabytes even where everything is disposed in time. Here one is asked for only when the memory owned by
/// live tensors passes 1 GiB, and after that twice what was found then.
/// </summary>
internal static class NativeMemoryWatch
{
    private const long Floor = 1L << 30;
    private static long _owned;
    private static long _limit = Floor;

    /// <summary>Bytes owned by tensors of at least 1 MiB.</summary>
    public static long Owned => Volatile.Read(ref _owned);

    public static void Add(int mebibytes)
    {
        long now = Interlocked.Add(ref _owned, (long)mebibytes << 20);
        long current = Volatile.Read(ref _limit);
        if (now <= current || Interlocked.CompareExchange(ref _limit, 2 * now, current) != current)
            return;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
    }

    public static void Remove(int mebibytes)
    {
        long now = Interlocked.Add(ref _owned, -((long)mebibytes << 20));
        long current = Volatile.Read(ref _limit);
        if (current > Floor && now < current / 4)
            Interlocked.CompareExchange(ref _limit, Math.Max(Floor, 2 * now), current);
    }
}
