using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace LongformerInterop.Checkpoints.Interop;

/// <summary>Says to the kernel that pages of a mapped file are not needed for now.</summary>
internal static partial class MappedPages
{
    private const int DontNeed = 4;

    // Of an entry of the page map: the page is in memory, or swapped out, or still the file's.
    private const ulong Present = 1UL << 63, Swapped = 1UL << 62, OfFile = 1UL << 61;

    /// <summary>
    /// Takes the whole pages inside of a range out of this process's memory, but for those that this process changed: they are copies, and
    /// would lose the change. The next access reads them from the file again. Best effort, and nothing on systems other than Linux.
    /// </summary>
    internal static void Leave(nint address, long bytes)
    {
        if (!OperatingSystem.IsLinux())
            return;
        long page = Environment.SystemPageSize;
        long from = (address + page - 1) / page, to = (address + bytes) / page;
        if (to <= from)
            return;
        try
        {
            using SafeFileHandle map = File.OpenHandle("/proc/self/pagemap");
            ulong[] entries = new ulong[Math.Min(1 << 13, to - from)];
            while (from < to)
            {
                int read = RandomAccess.Read(map, MemoryMarshal.AsBytes(entries.AsSpan(0, (int)Math.Min(entries.Length, to - from))),
                    from * sizeof(ulong)) / sizeof(ulong);
                if (read == 0)
                    return;
                for (int first = 0, next; first < read; first = next)
                {
                    bool changed = IsChanged(entries[first]);
                    for (next = first + 1; next < read && IsChanged(entries[next]) == changed;)
                        next++;
                    if (!changed)
                        _ = Advise((nint)((from + first) * page), (nuint)((next - first) * page), DontNeed);
                }
                from += read;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without the page map nobody knows what was changed: everything stays.
        }
    }

    private static bool IsChanged(ulong entry) => (entry & (Present | Swapped)) != 0 && (entry & OfFile) == 0;

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
