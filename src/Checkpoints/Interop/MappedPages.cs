using System.Runtime.InteropServices;

namespace LongformerInterop.Checkpoints.Interop;

/// <summary>Tells the kernel that pages of a mapped file are not needed for now.</summary>
internal static partial class MappedPages
{
    private const int DontNeed = 4;

    // What the kernel tells of a page (Documentation/admin-guide/mm/pagemap.rst).
    private const ulong Present = 1UL << 63, Swapped = 1UL << 62, OfFile = 1UL << 61;

    /// <summary>
    /// Takes the whole pages inside of a range out of this process's memory, if none of them was changed by it: a changed page would lose the change. The
    /// next access reads them from the file again. Best effort, and nothing on systems other than Linux.
    /// </summary>
    internal static void Leave(nint address, long bytes)
    {
        if (!OperatingSystem.IsLinux())
            return;
        long page = Environment.SystemPageSize;
        long from = (address + page - 1) / page * page, to = (address + bytes) / page * page;
        if (to > from && AreUnchanged(from / page, (to - from) / page))
            _ = Advise((nint)from, (nuint)(to - from), DontNeed);
    }

    /// <summary>Whether every page is the file's own. A page that was written to belongs to this process: it is none of a file.</summary>
    private static bool AreUnchanged(long first, long count)
    {
        try
        {
            using FileStream map = new("/proc/self/pagemap", FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            map.Position = first * sizeof(ulong);
            Span<ulong> pages = new ulong[Math.Min(count, 8192)];
            for (long done = 0; done < count; done += pages.Length)
            {
                pages = pages[..(int)Math.Min(pages.Length, count - done)];
                map.ReadExactly(MemoryMarshal.AsBytes(pages));
                foreach (ulong state in pages)
                    if ((state & Swapped) != 0 || ((state & Present) != 0 && (state & OfFile) == 0))
                        return false;
            }
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;  // a system that does not tell: the pages stay
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
